"""Where labels lie: what a format finds at a path, and the split that names of folders say."""

import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from classlift.own_folders import DIAGNOSIS, RELABEL, VALIDATION, mark_of
from classlift.settings.sources import EVAL, TEST, TRAIN

_REPORTS = (VALIDATION, RELABEL, DIAGNOSIS)
"""What we write beside labels, with labels in it."""

SPLIT_WORDS = {
    "train": TRAIN,
    "training": TRAIN,
    "trainval": TRAIN,
    "val": EVAL,
    "valid": EVAL,
    "validation": EVAL,
    "eval": EVAL,
    "dev": EVAL,
    "minival": EVAL,
    "test": TEST,
    "testing": TEST,
    "testdev": TEST,
}
"""What published splits are called."""


@dataclass(frozen=True)
class Place:
    """Labels of one format that lie together.

    Attributes:
        format: a name of `classlift.data.formats.FORMATS`.
        path: their file or folder.
        home: the folder that the names of its images start from; for a record the file itself.
        split: the published split that all its images are in; None where it says none.
        below: what the names of its images get in front, so that they differ from those of other
            places of one source: empty, or a path that ends in `/`.
        label_map: names the class ids of records that have no names; None is the one beside them.
        root: what somebody named, in or below which it was found; what is above describes nothing.
        kept: a folder where a reader may keep what it read, for the next time; None for none.

    """

    format: str
    path: Path
    home: Path
    split: str | None = None
    below: str = ""
    label_map: Path | None = None
    root: Path | None = None
    kept: Path | None = None


@dataclass(frozen=True)
class Layout:
    """What lies at a path that somebody named.

    Attributes:
        root: the folder, or the record, by whose name the ids of its images begin.
        places: at least one.
        notes: sentences on what was chosen among several.

    """

    root: Path
    places: tuple[Place, ...]
    notes: tuple[str, ...] = ()


def split_of(name: str) -> str | None:
    """The split that the name of a folder or file says.

    Args:
        name: of several words, the first that is one of `SPLIT_WORDS` counts.

    Returns:
        One of `schema.SPLITS`; None where it says none.

    >>> [split_of(name) for name in ("valid", "instances_train2017.json", "latest", "obj_Test")]
    ['eval', 'train', None, 'test']

    """
    words = re.split("[^a-z]+", name.lower())
    return next((SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS), None)


def files_called(folder: Path, names: Sequence[str]) -> list[Path]:
    """The files in a folder that have one of the names, in whatever capitals, in their order."""
    there: dict[str, list[str]] = {}
    for name in sorted(os.listdir(folder)) if folder.is_dir() else ():
        there.setdefault(name.lower(), []).append(name)
    return [folder / name for called in names for name in there.get(called.lower(), [])]


def folders_in(folder: Path) -> Iterator[Path]:
    """The folders directly in a folder by name, without hidden ones, links, and our reports."""
    for name in sorted(
        entry.name
        for entry in os.scandir(folder)
        if not entry.name.startswith((".", "__")) and entry.is_dir(follow_symlinks=False)
    ):
        if (mark_of(folder / name) or {}).get("what") not in _REPORTS:
            yield folder / name


def paths_below(folder: Path, suffixes: Collection[str]) -> list[str]:
    """The files in a folder and in those below it, without hidden ones, and without links' folders.

    Args:
        folder: any.
        suffixes: of the files, in small letters.

    Returns:
        Their paths from the folder on, with slashes, in order.

    """
    found = []
    start = len(os.path.join(folder, ""))
    for base, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = os.path.join(base, "")[start:]
        found += [
            below + name
            for name in names
            if os.path.splitext(name)[1].lower() in suffixes and name[0] != "."
        ]
    return sorted(found)
