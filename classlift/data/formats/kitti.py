"""KITTI: a text file for each image, with a line an object."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from classlift.data.formats.collected import Collected
from classlift.data.image_files import ImageFiles
from classlift.data.labels import Corners, Labels, Shard, chunks, number_of
from classlift.data.places import Place, folders_in, paths_below
from classlift.data.unusable import absent, may_be_of, unclear, unread
from classlift.errors import DataError
from classlift.paths import inside, state
from classlift.reading import MEGA, read_text
from classlift.text import shorten

_SUBFOLDERS = (
    *(("label_2", "image_2"), ("labels", "images"), ("label", "image")),
    ("labels", "data"),
)
"""What the folders of labels and images are called in small letters: by KITTI, NVIDIA's TAO and
FiftyOne, the likeliest first."""

DONT_CARE = "a region is an object; those called DontCare are left out"
UNLABELLED = "each image has a label file; one without counts as one without objects"
DONT_CARE_LABEL = "DontCare"
LOOKED_AT = 10
"""Files of a folder that are looked at: one of them may be empty, or damaged."""

MAX_BYTES = 100 * MEGA
"""The most bytes of the labels of one image."""

MAX_SHARE = 2
"""No number of YOLO is more: shares of the image, and how well a key point is seen."""

_NUMBERS = 14  # after the class: truncated, occluded, alpha, 4 sides, 3 sizes, 3 places, angle


def find(path: Path) -> list[Place]:
    """A folder with the layout of KITTI, and with lines as it has them."""
    return [Place("kitti", path, path)] if _folders(path) else []


def _folders(folder: Path) -> tuple[Path, Path] | None:
    """The sub-folders with labels and images; None where there are none."""
    for base in (folder, folder / "training"):
        there = {sub.name.lower(): sub for sub in folders_in(base)} if base.is_dir() else {}
        for labels, images in _SUBFOLDERS:
            if not {labels, images} <= there.keys():
                continue
            texts = paths_below(there[labels], (".txt",))[:LOOKED_AT]
            if any(_is_kitti(there[labels] / text) for text in texts):
                return there[labels], there[images]
    return None


def _is_kitti(path: Path) -> bool:
    try:
        lines = read_text(path, "labels", MAX_BYTES).split("\n")
        found = labels_of(next((line for line in lines if line.strip()), ""))
    except DataError:
        return False
    if found is None:
        return False
    label, corners = found
    # The polygons and poses of YOLO are many numbers too, all of them shares.
    are_numbers = all(map(_is_number, label.split(" ")))
    return not are_numbers or (" " not in label and max(map(abs, corners)) > MAX_SHARE)


def is_one(path: Path) -> bool:
    """Whether a file is text whose first line is KITTI's."""
    return path.suffix.lower() == ".txt" and _is_kitti(path)


def kitti_shards(place: Place) -> Iterator[Shard]:
    """The images of a KITTI folder, by path, with their label files.

    Args:
        place: of the folder.

    Yields:
        Shards for `read_kitti_shard`.

    Raises:
        DataError: there are no such folders.

    """
    folder = place.path
    found = _folders(folder)
    if found is None:
        raise DataError(f"{folder}: there are no label_2 and image_2 with KITTI's lines.")
    labels, images = found
    files: dict[str, list[str]] = {}
    for name in ImageFiles(images).paths:
        files.setdefault(os.path.splitext(name)[0], []).append(name)
    start = str(labels.relative_to(folder))
    texts = {
        os.path.splitext(text)[0]: f"{start}/{text}" for text in paths_below(labels, (".txt",))
    }
    said = [
        unclear(texts[stem], f"{folder.name}/{texts[stem]}", may_be_of(*files[stem][:2]))
        for stem in sorted(texts)
        if len(files.get(stem, [])) > 1
    ]
    reason = f"there is no image of this name below {images}"
    said += [
        absent(texts[stem], f"{folder.name}/{texts[stem]}", reason)
        for stem in sorted(set(texts) - set(files))
    ]
    items = []
    for stem, (name, *others) in files.items():
        text = texts.get(stem, f"{start}/{stem}.txt")
        if not others:
            items.append((text, str((images / name).relative_to(folder)), state(folder / text)))
    for part in chunks(items) if items else [()]:
        yield Shard("kitti", folder, (part, tuple(said)))
        said = []


def read_kitti_shard(shard: Shard) -> Labels:
    """Reads the label files of a shard.

    A line is a class, which may have blanks, and 14 numbers, of which the fourth to seventh are the
    sides in pixels; a score may follow. `DontCare` is no object. An image without a label file
    counts as one without objects.

    Args:
        shard: one of `kitti_shards`.

    Returns:
        Its images and boxes.

    """
    items, said = shard.items
    found = Collected(Place("kitti", shard.path, shard.path))
    for relative, name, (size, *_) in items:
        where = f"{shard.path.name}/{relative}"
        image = found.add(name, where, where)
        if size < 0:
            image.say(f"{UNLABELLED}: {name}", "warning")
            continue
        try:
            objects = _objects(inside(shard.path, relative, str(shard.path)))
        except DataError as error:
            found.add_problem(unread(image.image.file_name, where, error))
            continue
        for number, label, corners in objects:
            if label != DONT_CARE_LABEL:
                image.add(label, corners, f"{where} line {number}")
        ignored = sum(label == DONT_CARE_LABEL for _, label, _ in objects)
        if ignored:
            image.say(f"{DONT_CARE}: {ignored}")
    for problem in said:
        found.add_problem(problem)
    return found.labels()


def _objects(path: Path) -> list[tuple[int, str, Corners]]:
    """The lines of a label file: their numbers, classes and corners."""
    text = read_text(path, "the labels of an image", MAX_BYTES)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip(" \t"):
            continue
        parts = labels_of(line)
        if parts is None:
            raise DataError(
                f"{path}: line {number} must be a class and {_NUMBERS} numbers, as KITTI has it, "
                f"not {shorten(repr(line), 80)}."
            )
        found.append((number, *parts))
    return found


def labels_of(line: str) -> tuple[str, Corners] | None:
    """What a line of KITTI says.

    Args:
        line: whose class may have blanks, and at whose end a score may stand.

    Returns:
        The class and the corners in pixels; None for what is no line of KITTI.

    >>> labels_of("Car 0.00 0 -1.58 587.0 173.3 614.1 200.1 1.65 1.67 3.64 -0.65 1.71 46.7 -1.59")
    ('Car', (587.0, 173.3, 614.1, 200.1))

    """
    words = re.split("[ \t]+", line.strip(" \t\r"))
    count = 0
    for word in reversed(words):
        if not _is_number(word) or count > _NUMBERS:
            break
        count += 1
    if count == len(words) == 1 + _NUMBERS:
        count = _NUMBERS  # its class is a number
    if count not in (_NUMBERS, _NUMBERS + 1) or len(words) == count:
        return None
    numbers = words[-count:]
    corners = tuple(number_of(word) for word in numbers[3:7])
    return " ".join(words[:-count]), (corners[0], corners[1], corners[2], corners[3])


def _is_number(word: str) -> bool:
    try:
        number_of(word)
    except ValueError:
        return False
    return True
