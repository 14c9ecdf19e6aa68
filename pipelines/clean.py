"""`make clean`: removes what runs left in `build/` and can make anew, and nothing else.

    python -m pipelines.clean

Removed is what carries our mark, see `classlift.own_folders`. What is served stays, and so does
what is remembered, for no run can make it anew, and whatever else somebody put there; all is named.
"""

import logging
import sys
from contextlib import ExitStack
from pathlib import Path

from classlift import own_folders
from classlift.errors import EXIT_OK
from classlift.faults import exit_code_of
from classlift.locks import alone
from classlift.progress import configure
from pipelines.claims import FILES, METADATA, SERVING, WORK
from pipelines.compile import SERVED
from pipelines.places import RUNS
from pipelines.running import LOCK

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parent.parent

_KEPT = {
    SERVING: "what is served; remove it to begin with your own model",
    own_folders.MEMORY: "the split of each image; without it, test images may come into train",
    own_folders.WATCH: "the series of what is watched",
}
"""Folders of ours that stay, and why."""

_REMEMBERED = "the history of runs and pushes, and how often the test set was used"

_DIRECT = {
    WORK: tuple(name for name in FILES if name != METADATA),
    own_folders.ALL_COMPILED: (SERVED,),
}
"""Folders in which not all is ours, with our files in them."""


def clean(build: Path) -> None:
    """Removes what ClassLift made below a folder, but what is served or remembered.

    Args:
        build: the folder.

    Raises:
        UnavailableError: a run of a config goes on there. Nothing is removed then.

    """
    purposes = {}
    for path in build.rglob(own_folders.MARK):
        mark = own_folders.mark_of(path.parent)
        if mark is not None:
            purposes[path.parent] = mark["what"]
    mirrors = [folder for folder, what in purposes.items() if what == own_folders.MIRROR]
    for folder in list(purposes):  # what is in a mirror is a copy, and goes with it
        if any(mirror in folder.parents for mirror in mirrors):
            del purposes[folder]
    with ExitStack() as stack:
        for folder, what in purposes.items():
            if what == WORK and (folder / RUNS).is_dir():
                stack.enter_context(alone(folder / RUNS / LOCK, "make clean"))
        for folder in sorted(purposes, reverse=True):  # what lies in another one comes first
            what = purposes[folder]
            if what in _KEPT:
                logger.info(f"kept: {folder}, {_KEPT[what]}")
            elif what in _DIRECT:
                for name in _DIRECT[what]:
                    (folder / name).unlink(missing_ok=True)
                if (folder / METADATA).exists():
                    logger.info(f"kept: {folder / METADATA}, {_REMEMBERED}")
                elif not any(folder.glob(f"*/{own_folders.MARK}")):
                    (folder / own_folders.MARK).unlink()
            else:
                own_folders.remove(folder, what)
    for folder in sorted(build.rglob("*/"), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    for path in sorted(build.glob("*")):
        if not path.is_dir() or not any(path.rglob(own_folders.MARK)):
            logger.info(f"kept: {path}, which ClassLift did not make")


def main() -> int:
    """The command line; returns the exit code."""
    configure(sys.stdout)
    clean(ROOT / "build")
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
