"""Folders that ClassLift makes, and may therefore remove or replace: each carries a mark.

A marked folder is ours with all that is in it, but for `work` and `serving` of a config: their
marks say whose they are (`pipelines.claims`), and nothing in them is removed that has no mark of
its own. A folder that is there without a mark is somebody else's: nothing in it is touched.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from classlift.errors import ConfigError
from classlift.paths import replacing

MARK = ".classlift"
"""The file that makes a folder ours: JSON with `made_by`, `what` and a `note` for people."""

NOTE = "ClassLift made this folder and may remove it with all that is in it: keep nothing here."
_MAKER = "ClassLift"

OUTPUTS, RUNS = "outputs of nodes", "records of runs"
MEMORY, VALIDATION = "memory of snapshots", "validation report"
CHECKPOINTS, FEATURES = "checkpoints", "cached features"
ANSWERS = "answers of the champion"
COPIES, COSTS = "copies that were found", "work of branches"
WATCH, DIAGNOSIS = "series of what is served", "diagnosis"
JUDGED = "verdict of a run that is judged again"
RELABEL = "labels to look at again"
MIRROR = "mirror of object storage"
COMPILED, ALL_COMPILED = "compiled pipeline", "compiled pipelines"
DEMO_DATA, AIRFLOW = "demo data", "home of Airflow"
"""For what purposes folders are made."""


def mark_of(folder: Path) -> dict[str, str] | None:
    """What the mark of a folder says; None when it has none that is ours."""
    path = folder / MARK
    if not os.path.isfile(path):  # which is no error for a name that is too long
        return None
    try:
        mark = json.loads(path.read_text("utf-8"))
    except ValueError:
        return None
    return mark if isinstance(mark, dict) and mark.get("made_by") == _MAKER else None


def is_own(folder: Path, what: str) -> bool:
    """Whether a folder carries our mark for this purpose."""
    return (mark_of(folder) or {}).get("what") == what


def make(folder: Path, what: str) -> Path:
    """Makes a folder with a mark, or takes one that is there: marked for this purpose, or empty.

    Args:
        folder: to make.
        what: for what purpose, such as `checkpoints`; a mark for another one does not count.

    Returns:
        The same folder.

    Raises:
        ConfigError: anything else is there, of which nothing is touched.

    """
    require_own(folder, what)
    folder.mkdir(parents=True, exist_ok=True)
    if not is_own(folder, what):
        write_mark(folder, {"what": what, "note": NOTE})
    return folder


def require_own(folder: Path, what: str) -> None:
    """Requires that a folder was made for this purpose, or can be: it is empty, or not there.

    Args:
        folder: to look at.
        what: its purpose, as in `make`.

    Raises:
        ConfigError: something else is there: a file, or a folder with content and without our mark.

    """
    if not os.path.lexists(folder) or is_own(folder, what):
        return
    if folder.is_dir() and not any(folder.iterdir()):
        return
    raise ConfigError(
        f"{folder}: ClassLift keeps its {what} there, and what is there now it did not make (it "
        f"has no {MARK} file that says so), so nothing of it was touched; move it away, or name "
        "another folder."
    )


def write_mark(folder: Path, facts: Mapping[str, str]) -> None:
    """Writes the mark of a folder, whole or not at all."""
    text = json.dumps({"made_by": _MAKER, **facts}, indent=1)
    with replacing(folder / MARK) as draft:
        draft.write_text(text + "\n", "utf-8")


def clear(folder: Path, what: str) -> Path:
    """Makes a folder as `make` does, and empties it; links in it are removed, not followed.

    The mark goes last and comes first: whatever interrupts, the folder is known again.

    Args:
        folder: to make.
        what: its purpose, as in `make`.

    Returns:
        The same folder.

    Raises:
        ConfigError: as `make`.

    """
    make(folder, what)
    for entry in folder.iterdir():
        if entry.name == MARK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    return folder


def remove(folder: Path, what: str) -> None:
    """Removes a folder that we made for this purpose; nothing happens when there is none.

    Args:
        folder: to remove.
        what: its purpose, as in `make`.

    Raises:
        ConfigError: what is there is not ours; nothing of it is touched.

    """
    if not os.path.lexists(folder):
        return
    clear(folder, what)
    (folder / MARK).unlink()
    if not folder.is_symlink():  # a user may have put the folder elsewhere by a link
        folder.rmdir()


def ignore_mark(_: str, names: list[str]) -> set[str]:
    """For `shutil.copytree`: a copy is no folder of ours because the original was one."""
    return {MARK} & set(names)
