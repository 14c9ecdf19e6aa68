"""Makes the two Python environments from their locks; does nothing when they are current.

    python3 requirements/install.py

Needs a system Python 3.8 or newer and nothing else: uv is brought into `.tools` when it is not
there. Says in one sentence what this machine is missing.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List, Optional

ROOT = Path(__file__).resolve().parent.parent
# Locks by environment: a checkout has what tests and lints beside the ML runtime; images have not.
LOCKS = {"ml": ["ml.txt", "dev.txt"], "airflow": ["airflow.txt"]}
PYTHON = "3.11"
MIN_GLIBC = (2, 28)  # what the wheels of the ML lock are built for
DISK_GB = 8  # both environments are 5 GB, and the demo writes half a GB
STAMP = "classlift-locks"


class Missing(Exception):
    """Something that this machine lacks, as a sentence."""


def main() -> int:
    """Installs what is not current; returns the exit code."""
    try:
        stale = [name for name in LOCKS if not is_current(name)]
        if stale:
            check_machine()
            uv = find_uv()
            for name in stale:
                install(uv, name)
    except Missing as error:
        print("classlift: " + str(error), file=sys.stderr)
        return 78
    except subprocess.CalledProcessError as error:
        print(
            "classlift: the installation failed (see above) in: {}; check the network and your "
            "package index settings, then run it again.".format(" ".join(map(str, error.cmd[:4]))),
            file=sys.stderr,
        )
        return 1
    return 0


def check_machine() -> None:
    """Raises Missing for a platform without wheels, an old glibc or a full disk."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise Missing(
            "TFX has wheels for Linux on x86_64 alone, and this is {} on {}; use such a machine, "
            "or a container of one.".format(platform.system(), platform.machine())
        )
    name, version = platform.libc_ver()
    if name == "glibc" and tuple(int(part) for part in version.split(".")[:2]) < MIN_GLIBC:
        raise Missing("glibc {} is too old; 2.28 or newer is needed.".format(version))
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < DISK_GB:
        raise Missing(
            "{:.1f} GB are free here, {} GB are needed for the two environments; make room.".format(
                free, DISK_GB
            )
        )


def find_uv() -> Path:
    """The user's uv, or one of our own in `.tools`."""
    own = ROOT / ".tools" / "bin" / "uv"
    found = shutil.which("uv")
    if found:
        return Path(found)
    if not own.exists():
        say("installing uv into .tools")
        run(
            [sys.executable, "-m", "venv", ROOT / ".tools"],
            "this Python can't make virtual "
            "environments; install your system's python3-venv package.",
        )
        lock = ROOT / "requirements" / "uv.txt"
        run([ROOT / ".tools" / "bin" / "pip", "install", "--quiet", "--require-hashes", "-r", lock])
    return own


def install(uv: Path, name: str) -> None:
    """Makes one environment exactly as its locks say."""
    folder, locks = ROOT / ".venv" / name, locks_of(name)
    named = " and ".join("requirements/" + lock.name for lock in locks)
    if folder.exists() and any(folder.iterdir()) and not (folder / "pyvenv.cfg").exists():
        raise Missing("{}: it is no Python environment; move it away.".format(folder))
    say("installing the {} environment from {}".format(name, named))
    run(
        [uv, "venv", "--quiet", "--clear", "--python", PYTHON, folder],
        "there is no Python {0} here and none could be fetched; install python{0}.".format(PYTHON),
    )
    python = folder / "bin" / "python"
    # Compiled now, once: it halves every import of every node.
    sync = [uv, "pip", "sync", "--quiet", "--compile-bytecode", "--require-hashes"]
    run([*sync, "--python", python, *locks])
    if name == "ml":
        package = ["--no-deps", "--no-build-isolation", "--editable", ROOT]
        run([uv, "pip", "install", "--quiet", "--python", python, *package])
    (folder / STAMP).write_text(digest(locks_of(name)))


def is_current(name: str) -> bool:
    """Whether an environment was made from its locks, and with its command, as they are now."""
    stamp = ROOT / ".venv" / name / STAMP
    if not stamp.exists() or stamp.read_text() != digest(locks_of(name)):
        return False
    return name != "ml" or has_command()


def locks_of(name: str) -> List[Path]:
    """The locks of an environment."""
    return [ROOT / "requirements" / lock for lock in LOCKS[name]]


def has_command() -> bool:
    """Whether the installed `classlift` starts what `pyproject.toml` names."""
    script = ROOT / ".venv" / "ml" / "bin" / "classlift"
    project = (ROOT / "pyproject.toml").read_text()
    module, function = re.search(r'^classlift = "([\w.]+):(\w+)"$', project, re.M).groups()
    start = "from {} import {}\n".format(module, function)
    return script.exists() and start in script.read_text()


def digest(paths: List[Path]) -> str:
    """SHA-256 of files, one after the other."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def run(command: List[object], missing: Optional[str] = None) -> None:
    """Runs a command; a failure is Missing when a sentence for it is given."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    try:
        subprocess.run([str(part) for part in command], check=True, env=environment)
    except subprocess.CalledProcessError:
        if missing is None:
            raise
        raise Missing(missing) from None


def say(message: str) -> None:
    """One line of progress."""
    print("classlift: " + message, flush=True)


if __name__ == "__main__":
    sys.exit(main())
