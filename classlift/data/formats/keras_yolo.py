"""Text of keras-yolo3: a line an image, with its boxes behind its name, as Roboflow exports it."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from classlift.data.formats.collected import Collected, find_files, side
from classlift.data.images import IMAGE_SUFFIXES
from classlift.data.labels import NO_PLACE, Corners, Shard, nameless, whole_number_of
from classlift.data.places import Place, files_called
from classlift.errors import DataError
from classlift.reading import GIGA, MEGA, open_regular, read_text

MAX_BYTES = GIGA
"""The most bytes of a file, which is in memory at once."""

HEAD_BYTES = 64 * 1024
"""What is looked at of a file: images without boxes may come first."""

NAMES = ("_classes.txt", "classes.txt", "classes.names", "obj.names")
"""What the list of the classes is called, a name a line."""

_SUFFIXES = "|".join(sorted(suffix.lstrip(".") for suffix in IMAGE_SUFFIXES))
_LINE = re.compile(rf"(\S.*?\.(?:{_SUFFIXES}))(?:[ \t]+(\S.*?))?[ \t\r]*", re.IGNORECASE)
_BOX = re.compile(r"(-?[\d.]+,){4}\d+")


def find(path: Path) -> list[Place]:
    """Text files of keras-yolo3 at a path."""
    return find_files("keras_yolo", path, is_one, suffixes=(".txt",))


def is_one(path: Path) -> bool:
    """Whether a file names images line by line, and a box behind one of them."""
    if path.suffix.lower() != ".txt":
        return False
    try:
        with open_regular(path, "a text file") as file:
            lines = file.read(HEAD_BYTES).decode("utf-8-sig", "replace").split("\n")
    except DataError:
        return False
    found = [_LINE.fullmatch(line) for line in lines[:1000] if line.strip()]
    boxes = [word for line in found if line and line[2] for word in line[2].split()]
    return bool(found and found[0] and boxes and _BOX.fullmatch(boxes[0]))


def keras_yolo_shards(place: Place) -> Iterator[Shard]:
    """Reads a text file of keras-yolo3 whole: `image.jpg xmin,ymin,xmax,ymax,class ...`.

    Sides are pixels, a class is its number in `_classes.txt`, from 0. A line with a name alone is
    an image without objects.

    Args:
        place: of the file.

    Yields:
        Shards that hold their labels.

    Raises:
        DataError: a line names no image, or one that stood before; names file and line.

    """
    path, found = place.path, Collected(place)
    names = _names(path, place)
    for number, line in enumerate(read_text(path, "the labels", MAX_BYTES).split("\n"), start=1):
        if not line.strip():
            continue
        where, at = f"{path.parent.name}/{path.name} line {number}", f"{path}: line {number}"
        match = _LINE.fullmatch(line)
        if not match or not match[1].isprintable() or any(map(_BOX.fullmatch, match[1].split())):
            raise DataError(f"{at} must begin with the name of an image, not {line[:80]!r}.")
        image = found.add(match[1], where, at)
        for count, word in enumerate((match[2] or "").split(), start=1):
            label, source, corners = _box(word, names, f"{where} box {count}")
            image.add(label, corners, source)
    yield from found.shards()


def _names(path: Path, place: Place) -> Sequence[str]:
    """The classes, of the list beside the file or above it; none where there is none."""
    root = place.root or place.path
    for folder in (path.parent, path.parent.parent):
        if folder == path.parent or folder.is_relative_to(root):
            for file in files_called(folder, NAMES):
                text = read_text(file, "the names of the classes", 10 * MEGA)
                return [line.strip() for line in text.rstrip().split("\n")]
    return ()


def classes_of(place: Place) -> Sequence[str]:
    """The classes in the order of their numbers."""
    return _names(place.path, place)


def _box(word: str, names: Sequence[str], source: str) -> tuple[str, str, Corners]:
    """The class of a box, its source and its corners."""
    *sides, number = word.split(",")
    try:
        class_id = whole_number_of(number)
    except ValueError:
        return *nameless(source, word), NO_PLACE
    name = names[class_id] if 0 <= class_id < len(names) else ""
    label, where = (name, source) if name else nameless(source, class_id, len(names))
    if len(sides) != 4:
        return label, where, NO_PLACE
    xmin, ymin, xmax, ymax = map(side, sides)
    return label, where, (xmin, ymin, xmax, ymax)
