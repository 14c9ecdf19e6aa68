"""What lies with a source and is not read: label files beside those that are, and links."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from classlift.data.formats import DEPTH, FORMATS, kind_of
from classlift.data.formats.collected import FEW
from classlift.data.formats.voc import find_annotations
from classlift.data.images import IMAGE_SUFFIXES
from classlift.data.media import is_record
from classlift.data.places import Layout, Place, folders_in
from classlift.data.problems import INFO, ImageProblem
from classlift.data.unusable import LINKED

PASSED_OVER = "label files that lie with a source are what it is read from; others are not read"
"""The rule that a source breaks for each; its value is what such a file is."""

_SUFFIXES = (
    *(".json", ".jsonl", ".ndjson", ".manifest", ".xml"),
    *(".csv", ".tsv", ".txt", ".parquet"),
    *(".zip", ".tar", ".tgz", ".gz", ".7z", ".rar"),
)
_DEEP = ("yolo", "kitti")
"""The formats whose folder is read with all that is below it."""


def passed_over(layout: Layout) -> list[ImageProblem]:
    """Finds the label files in a folder that are not read, and the folders that are links.

    Args:
        layout: of what somebody named.

    Returns:
        A problem for each; of very many files of one kind in one folder, one for the first. None
        where a file was named.

    """
    root = layout.places[0].root or layout.root
    if not os.path.isdir(root):
        return []
    titles = dict.fromkeys(FORMATS[place.format].title for place in layout.places)
    found = []
    files = {place.path for place in layout.places}
    for file, count in _candidates(root):
        if file in files:
            continue
        kind, title = kind_of(file)
        if title and not any(_reads(place, file, kind) for place in layout.places):
            many = f" (and {count - 1:,} more beside it)" if count > 1 else ""
            problem = f"{PASSED_OVER}: {title}{many}; read is {', '.join(titles)}"
            name = file.relative_to(root).as_posix()
            found.append(ImageProblem(name, str(root), problem, INFO))
    return sorted(found, key=lambda problem: problem.image_id) + linked_folders(root)


def linked_folders(root: Path) -> list[ImageProblem]:
    """A problem for each folder below another one that is a link: what it leads to is not read."""
    found, folders = [], [root]
    for folder in folders:
        if len(folder.relative_to(root).parts) <= DEPTH:
            folders += folders_in(folder)
        found += [e.path for e in os.scandir(folder) if e.is_symlink() and e.is_dir()]
    return [
        ImageProblem(
            name, str(root), f"{LINKED}: {name} is a link to the folder {os.readlink(path)}", INFO
        )
        for path in sorted(found)
        for name in [os.path.relpath(path, root)]
    ]


def _reads(place: Place, file: Path, kind: str) -> bool:
    """Whether the folder of a place is read with a file in it."""
    if place.format != kind or not os.path.isdir(place.path):
        return False
    if kind in _DEEP:
        return file.is_relative_to(place.path)
    labels = find_annotations(place.path) if kind == "voc" else place.path
    if labels is None or labels == place.path:
        return file.parent == place.path
    return file.is_relative_to(labels)


def _candidates(root: Path) -> Iterator[tuple[Path, int]]:
    """Files that may hold labels, below a folder; and how many such a one stands for."""
    folders = [root]
    for folder in folders:
        if len(folder.relative_to(root).parts) <= DEPTH:
            folders += folders_in(folder)
        groups: dict[str, list[str]] = {}
        images = set()
        for entry in os.scandir(folder):
            stem, suffix = os.path.splitext(entry.name)
            suffix = suffix.lower()
            if suffix in IMAGE_SUFFIXES:
                images.add(stem)
            elif suffix in _SUFFIXES and entry.name[0] != ".":
                groups.setdefault(suffix, []).append(entry.name)
            elif is_record(Path(entry.name)):
                groups.setdefault("record", []).append(entry.name)
        for names in groups.values():
            for name, count in _few(sorted(names), images):
                yield folder / name, count


def _few(names: Sequence[str], images: set[str]) -> Iterator[tuple[str, int]]:
    """All of a few files; of many, the first, and some that are called as no image is."""
    if len(names) <= FEW:
        yield from ((name, 1) for name in names)
        return
    yield names[0], len(names)
    others = [n for n in names[1:] if images and os.path.splitext(n)[0] not in images]
    yield from ((name, 1) for name in others[:FEW])
