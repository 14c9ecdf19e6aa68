"""Faults of the machine as sentences: a full disk, a folder that is read-only, damaged metadata."""

import errno
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from classlift.errors import DISK_FULL, EXIT_PERMANENT, EXIT_RETRY, ClassLiftError
from classlift.parent import EXIT_TERMINATED, Terminated
from classlift.text import printable, shorten

_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}
_SAID = {
    "No space left on device": errno.ENOSPC,
    "Disk quota exceeded": errno.EDQUOT,
    "database or disk is full": errno.ENOSPC,
    "Read-only file system": errno.EROFS,
    "attempt to write a readonly database": errno.EROFS,
    "Permission denied": errno.EACCES,
}
"""What libraries say that do not pass the number of the fault on."""

SMALLEST = 1_000_000
"""Bytes of a disk that anything is written to; the system has smaller ones of its own."""

FULL = 0.01
"""Share of a disk that may be free where it counts as full: what did not fit is removed by then."""

_EXTRAS = {
    "train": {"tensorflow", "tf_keras", "keras_hub", "keras", "object_detection", "sklearn"},
    "pipeline": {"tfx", "tfx_bsl", "ml_metadata", "tensorflow_metadata", "pipelines"},
}
"""Modules that the library alone does not bring, by the extra that does."""


def exit_code_of(command: Callable[[], int]) -> int:
    """Runs a command, and prints the sentence of what stops it.

    What is a fault of the program is raised.

    Args:
        command: returns its exit code.

    Returns:
        That exit code, or the one of what stopped it.

    """
    try:
        return command()
    except ClassLiftError as error:
        print(f"classlift: {error}", file=sys.stderr)
        return error.exit_code
    except Terminated:
        print("classlift: stopped by SIGTERM", file=sys.stderr)
        return EXIT_TERMINATED
    except Exception as error:  # the border of the process
        explained = explain(error)
        if explained is None:
            raise
        print(f"classlift: {shorten(printable(explained[0]))}", file=sys.stderr)
        return explained[1]


def explain(error: BaseException) -> tuple[str, int] | None:
    """What an error means to a user.

    The errors that it came of are looked at too: a runner may have wrapped it.

    Args:
        error: no ClassLiftError, which is a sentence itself.

    Returns:
        A sentence and an exit code; None for one that is a fault of the program.

    """
    for cause in _causes(error):
        number = _number(cause)
        where = f"{file}: " if (file := _file(cause)) else ""
        if number in DISK_FULL:
            said = "; ".join([os.strerror(number), *_full_disks()])
            return f"{where}the disk is full ({said}); make room and try again.", EXIT_RETRY
        if number in _FORBIDDEN:
            return (
                f"{where}this user may not write there ({os.strerror(number)}); check owner and "
                "mode of the folder, and whether its disk is mounted read-only.",
                EXIT_PERMANENT,
            )
        if number == errno.ENAMETOOLONG:
            return f"{where}no file can have a name as long; use a shorter one.", EXIT_PERMANENT
        if isinstance(cause, ModuleNotFoundError) and (extra := _extra_of(cause)):
            return (
                f"this needs {cause.name}, which is not installed: install classlift[{extra}], or "
                "use a checkout's environment (make environments).",
                EXIT_PERMANENT,
            )
        if _is_of_metadata(cause):
            return (
                f"ML Metadata can't be read or written ({cause}); if its database is damaged, put "
                "it back or move it away.",
                EXIT_RETRY,
            )
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    now: BaseException | None = error
    while now is not None and id(now) not in seen:
        seen.add(id(now))
        yield now
        now = now.__cause__ or (None if now.__suppress_context__ else now.__context__)


def _file(error: BaseException) -> str | None:
    """The file that an error is about; of a copy of many, the first that could not be written."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        return str(error.args[0][0][1])
    return getattr(error, "filename", None)


def _number(error: BaseException) -> int | None:
    number = error.errno if isinstance(error, OSError) else None
    if number is None:
        text = str(error)
        number = next((found for words, found in _SAID.items() if words in text), None)
    return number


def _full_disks() -> Iterator[str]:
    """The folders at which disks are mounted that have no room left, in words."""
    mounts = Path("/proc/self/mounts")
    for line in mounts.read_text().splitlines() if mounts.exists() else ():
        folder = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), line.split()[1])
        with suppress(OSError):  # one that this user may not look at
            disk = os.statvfs(folder)
            is_writable = not disk.f_flag & os.ST_RDONLY and os.access(folder, os.W_OK)
            size = disk.f_frsize * disk.f_blocks
            if is_writable and size >= SMALLEST and disk.f_bavail < disk.f_blocks * FULL:
                yield f"no room is left in {folder}"


def _extra_of(error: ModuleNotFoundError) -> str | None:
    """The extra of the package that has a module which is missing; None for one of its own."""
    module = (error.name or "").partition(".")[0]
    return next((extra for extra, modules in _EXTRAS.items() if module in modules), None)


def _is_of_metadata(error: BaseException) -> bool:
    module = sys.modules.get("ml_metadata.errors")
    return module is not None and isinstance(error, module.StatusError)
