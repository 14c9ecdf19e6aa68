"""KITTI: a text file for each image, with a line an object."""

import re
from collections.abc import Iterator
from pathlib import Path

from classlift.data.formats.collected import Collected
from classlift.data.image_files import ImageFiles
from classlift.data.labels import Corners, Labels, Shard, chunks, number_of
from classlift.data.places import Place
from classlift.data.unusable import absent, unread
from classlift.errors import DataError
from classlift.paths import inside, state
from classlift.reading import MEGA, read_text
from classlift.text import shorten

LABELS, IMAGES = ("label_2", "labels", "label"), ("image_2", "images", "image")
"""The sub-folders of KITTI and of NVIDIA's TAO, the first that is there."""

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
        for labels, images in zip(LABELS, IMAGES, strict=True):
            if (base / labels).is_dir() and (base / images).is_dir():
                files = sorted((base / labels).rglob("[!.]*.txt"))
                if any(map(_is_kitti, files[:LOOKED_AT])):
                    return base / labels, base / images
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
        raise DataError(f"{folder}: there are no {LABELS[0]} and {IMAGES[0]} with KITTI's lines.")
    labels, images = found
    files = {str(Path(name).with_suffix("")): name for name in ImageFiles(images).paths}
    texts = {
        str(p.relative_to(labels).with_suffix("")): p for p in sorted(labels.rglob("[!.]*.txt"))
    }
    orphans = sorted(str(texts[stem].relative_to(folder)) for stem in set(texts) - set(files))
    items = [(stem, name, state(labels / f"{stem}.txt")) for stem, name in files.items()]
    parts = (str(labels.relative_to(folder)), str(images.relative_to(folder)))
    for part in chunks(items) if items else [()]:
        yield Shard("kitti", folder, (parts, part, tuple(orphans)))
        orphans = []


def read_kitti_shard(shard: Shard) -> Labels:
    """Reads the label files of a shard.

    A line is a class, which may have blanks, and 14 numbers, of which the fourth to seventh are the
    sides in pixels; a score may follow. `DontCare` is no object. An image without a label file
    counts as one without objects.

    Args:
        shard: one of `kitti_shards`.

    Returns:
        Its images and boxes.

    Raises:
        DataError: two images have one name.

    """
    (labels, images), items, orphans = shard.items
    found = Collected(Place("kitti", shard.path, shard.path))
    for stem, name, (size, *_) in items:
        relative = f"{labels}/{stem}.txt"
        where = f"{shard.path.name}/{relative}"
        image = found.add(f"{images}/{name}", where, where)
        if size < 0:
            image.say(f"{UNLABELLED}: {images}/{name}", "warning")
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
    for relative in orphans:
        reason = f"there is no image of this name below {shard.path / images}"
        found.add_problem(absent(relative, f"{shard.path.name}/{relative}", reason))
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
