"""Paths that come from data sets: they stay inside the data root."""

import functools
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from classlift.errors import DataError
from classlift.text import did_you_mean

State = tuple[int, int, int, int]

ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
"""How the names of archives end, in small letters."""


def inside(root: Path, relative: str, where: str, within: Path | None = None) -> Path:
    """A file below a folder.

    Args:
        root: the folder.
        relative: the path from there, as data give it.
        where: file and record that give it, for errors.
        within: the folder that links may not leave; `root` by default.

    Returns:
        The path, which need not be there.

    Raises:
        DataError: it is absolute, climbs out with `..`, or leaves through a link.

    """
    base = _resolved(root)
    if os.sep not in relative and relative not in ("", ".", "..") and "\0" not in relative:
        path = base / relative
        if not os.path.islink(path):  # a plain name can't leave: no need to resolve it
            return path
    try:
        path = (base / relative).resolve()
    except (ValueError, OSError) as error:  # a NUL character; links in a circle
        raise DataError(f"{where}: the path {relative!r} is no path ({error}).") from None
    if Path(relative).is_absolute() or not path.is_relative_to(_resolved(within or root)):
        is_link = os.path.normpath(base / relative).startswith(os.path.join(base, ""))
        way = "by a link; put the file itself there" if is_link else "; use paths inside it"
        raise DataError(
            f"{where}: the path {relative!r} leaves the data folder {within or root}"
            f"{' ' if is_link else ''}{way}."
        )
    return path


@functools.lru_cache(maxsize=1024)
def _resolved(root: Path) -> Path:
    return root.resolve()


def state(path: str | Path) -> State:
    """The state of a file: while it stays, so does what the file holds.

    The mtime can be set back by anyone, the ctime by nobody.

    Args:
        path: of the file.

    Returns:
        Size in bytes, mtime and ctime in ns, inode; all -1 when there is no such file.

    """
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return -1, -1, -1, -1
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A draft to write instead of `path`, which it replaces at the end: whole, or not at all."""
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        yield draft
        draft.replace(path)
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)  # a write that fails does not say where
        raise
    finally:
        draft.unlink(missing_ok=True)


def did_you_mean_path(path: Path) -> str:
    """The file or folder that is nearest to a path that is not there, for a sentence.

    Args:
        path: that nothing has.

    Returns:
        Words that stand behind it: the first folder on the way that is missing, and the name that
        is nearest to it there; empty where only the path itself is, and nothing has a like name.

    """
    missing = path
    while not os.path.lexists(missing.parent) and missing.parent != missing:
        missing = missing.parent
    try:
        beside = [entry.name for entry in islice(os.scandir(missing.parent), _BESIDE)]
    except OSError:
        beside = []
    near = did_you_mean(missing.name, beside)
    return near if missing == path else f": {missing} is not there{near}"


_BESIDE = 1000
"""The most names that are looked at: a folder of images has many."""
