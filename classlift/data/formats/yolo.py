"""YOLO: a text file an image, in `labels/` or beside it, and the names of the classes."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from classlift.data.images import IMAGE_SUFFIXES, size_of_image
from classlift.data.labels import (
    NO_PLACE,
    Corners,
    LabelledBox,
    LabelledImage,
    Labels,
    Rounding,
    Shard,
    chunks,
    number_of,
    whole_number_of,
)
from classlift.data.places import Place, split_of
from classlift.data.problems import INFO, ImageProblem
from classlift.data.shapes import ENCLOSED, around
from classlift.errors import DataError
from classlift.paths import inside, state
from classlift.reading import MEGA, open_regular, read_text, read_yaml
from classlift.settings.sources import EVAL, TEST, TRAIN

NAMES = ("data.yaml", "dataset.yaml", "classes.txt", "obj.names", "_darknet.labels")
"""What the file that names the classes is called: by Ultralytics, labelImg, CVAT, Roboflow."""

SPLIT_KEYS = {"train": TRAIN, "val": EVAL, "valid": EVAL, "test": TEST}
"""The keys of data.yaml that say where the images of a split are."""

MAX_BYTES = 10 * MEGA
"""The most bytes of the file that names the classes."""

ROUNDING = Rounding(share=1e-6)
"""Six decimals of the centre and of the size: half of the last one, and a quarter, and a bit."""

MAX_LABEL_BYTES = 100 * MEGA
"""The most bytes of the labels of one image."""


def find(path: Path) -> list[Place]:
    """A folder with `images/` and `labels/`, or with text files of boxes beside images."""
    is_yolo = _is_apart(path) or (os.path.isdir(path) and _is_beside(path))
    return [Place("yolo", path, path)] if is_yolo else []


def _is_apart(folder: Path) -> bool:
    """Whether the labels lie in a folder of their own, as Ultralytics has them."""
    return all(os.path.isdir(folder / name) for name in ("images", "labels"))


def _is_beside(folder: Path) -> bool:
    """Whether the labels lie beside the images, as darknet has them.

    Returns:
        Whether they do; in CVAT's export, both in a folder beside `obj.names`.

    """
    inner = sorted(folder.glob("obj_*_data")) if (folder / "obj.names").is_file() else []
    for place in (folder, *inner):
        for image in sorted(place.iterdir()) if place.is_dir() else ():
            if image.suffix.lower() in IMAGE_SUFFIXES and _is_labels(image.with_suffix(".txt")):
                return True
    return False


def _is_labels(path: Path) -> bool:
    """Whether the first line that says something is a class and at least four numbers."""
    if not path.is_file():
        return False
    with open_regular(path, "the labels of an image") as file:
        lines = file.read(4096).decode("utf-8", "replace").split("\n")
    for line in lines:
        if line.strip():
            return bool(re.fullmatch(r"\s*\d+(\s+[-+.\deE]+){4,}\s*", line[:2000]))
    return False


def yolo_shards(place: Place) -> Iterator[Shard]:
    """The images below `images/`, by path, with the label files of the same places in `labels/`;
    or those of the folder, each with the label file beside it.

    Args:
        place: of the folder.

    Yields:
        Shards for `read_yolo_shard`.

    Raises:
        DataError: the classes have no names, two images have one label file, or labels are of
            images that are not there.

    """
    folder = place.path
    names_file, names = _class_names(folder)
    split_by = _splits(folder, names_file)
    is_apart = _is_apart(folder)
    root, of_labels = (folder / n if is_apart else folder for n in ("images", "labels"))
    known: set[Path] = set()
    items = []
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        relative = path.relative_to(root)
        labels = of_labels / relative.with_suffix(".txt")
        if labels.is_symlink() and not labels.exists():
            raise DataError(f"{labels}: the link leads nowhere, so the labels are missing.")
        if labels in known:
            raise DataError(f"{labels}: two images have this name; give each its own label file.")
        known.add(labels)
        # The size of the image is part of the labels: their shares become pixels.
        said = place.split or split_by(path)
        items.append((str(path.relative_to(folder)), state(labels), state(path), said))
    if is_apart:
        orphans = sorted(set(of_labels.rglob("*.txt")) - known - {of_labels / "classes.txt"})
        if orphans:
            raise DataError(f"{orphans[0]}: there is no image of this name below {root}.")
    for part in chunks(items):
        yield Shard("yolo", folder, (tuple(names), is_apart, part))


def read_yolo_shard(shard: Shard) -> Labels:
    """Reads the label files of a shard.

    A line is `class x y width height`, the centre and the size as shares of the image; one with a
    class and without four numbers is a box without a place. Of `class x y x y x y ...`, the corners
    of a polygon or of a turned box, the enclosing box is taken. An image without a label file has
    no boxes.

    Args:
        shard: one of `yolo_shards`.

    Returns:
        Its images and boxes, in pixels.

    Raises:
        DataError: a line is no such thing, or its class is unknown; names file and line.

    """
    folder, (names, is_apart, items) = shard.path, shard.items
    images: list[LabelledImage] = []
    boxes: list[LabelledBox] = []
    remarks: list[ImageProblem] = []
    for name, labels_state, _, split in items:
        image = inside(folder, name, str(folder))
        width, height = _size(image)
        source = f"{folder.name}/{name}"
        images.append(
            LabelledImage(name, str(image), width, height, source, is_sized=False, split=split)
        )
        if labels_state[0] >= 0:
            labels = str(Path(name).with_suffix(".txt"))
            if is_apart:
                labels = str(Path("labels", Path(labels).relative_to("images")))
            path = inside(folder, labels, str(folder))
            found, polygons = _boxes(path, labels, name, width, height, names, folder)
            boxes += found
            if polygons:
                said = f"{ENCLOSED}: {polygons} polygon{'' if polygons == 1 else 's'}"
                remarks.append(ImageProblem(name, f"{folder.name}/{labels}", said, INFO))
    return Labels(images, boxes, remarks)


def classes_of(place: Place) -> list[str]:
    """The classes in the order of their numbers."""
    return _class_names(place.path)[1]


def _class_names(folder: Path) -> tuple[Path, list[str]]:
    """The names of the classes, from the folder, beside the labels, or above where it is a split's.

    Returns:
        The file that names them, and the names by number from 0.

    Raises:
        DataError: there is no such file, or it does not list the classes, each once.

    """
    places = [*(folder / n for n in NAMES), folder / "labels" / "classes.txt"]
    for path in (*places, *(folder.parent / n for n in NAMES)):
        if not os.path.lexists(path):
            continue
        if path.suffix != ".yaml":
            text = read_text(path, "the names of the classes", MAX_BYTES)
            names: Any = [line.strip() for line in text.rstrip().split("\n")]
        else:
            document = read_yaml(path, "the names of the classes", MAX_BYTES, typed=False)
            names = document.get("names") if isinstance(document, dict) else None
        if isinstance(names, dict) and sorted(map(str, names)) == sorted(
            map(str, range(len(names)))
        ):
            names = [value for _, value in sorted(names.items(), key=lambda item: int(item[0]))]
        if not isinstance(names, list) or not names:
            raise DataError(f"{path}: `names` must list the classes, numbered from 0.")
        for number, value in enumerate(names):
            if not isinstance(value, str):
                raise DataError(f"{path}: class {number} needs a string or a number as its name.")
        repeated = sorted(n for n, count in Counter(names).items() if n and count > 1)
        if repeated:
            raise DataError(f"{path}: the class {repeated[0]!r} is named more than once.")
        return path, names
    raise DataError(
        f"{folder}: the names of the classes are missing: add {' or '.join(NAMES[:3])}."
    )


def _splits(folder: Path, names_file: Path) -> Callable[[Path], str | None]:
    """What tells the published split of an image: data.yaml, else the name of the folder that it is
    in below `images/`.

    Returns:
        A function from the path of an image to its split, or None.

    """
    document: Any = None
    if names_file.suffix == ".yaml":
        document = read_yaml(names_file, "the names of the classes", MAX_BYTES, typed=False)
    said: list[tuple[Path, str]] = []
    for key, split in SPLIT_KEYS.items():
        value = document.get(key) if isinstance(document, dict) else None
        for place in value if isinstance(value, list) else [value]:
            if isinstance(place, str):
                for start in (names_file.parent, _start(names_file, document)):
                    said.append((Path(os.path.normpath(start / place)), split))

    def split_by(image: Path) -> str | None:
        for place, split in said:
            if image.is_relative_to(place):
                return split
        inner = image.relative_to(folder).parts[:-1]
        return next((found for part in inner if (found := split_of(part))), None)

    return split_by


def _start(names_file: Path, document: dict[str, object]) -> Path:
    """The folder that the paths of a data.yaml start from."""
    path = document.get("path")
    return names_file.parent / path if isinstance(path, str) else names_file.parent


def _size(path: Path) -> tuple[int, int]:
    try:
        with open_regular(path, "an image") as file:
            return size_of_image(file)
    except DataError:  # the snapshot says what is wrong with the file
        return 0, 0


def _boxes(
    path: Path,
    relative: str,
    name: str,
    width: int,
    height: int,
    names: tuple[str, ...],
    folder: Path,
) -> tuple[list[LabelledBox], int]:
    """The boxes of a label file, and how many of them enclose a polygon."""
    # Lines end as they do in files; `splitlines` also knows separators that only damage writes.
    text = read_text(path, "the labels of an image", MAX_LABEL_BYTES)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found, polygons = [], 0
    for number, line in enumerate(lines, start=1):
        if not line.strip(" \t"):
            continue
        where = f"{folder.name}/{relative} line {number}"
        try:
            class_text, *numbers = re.split("[ \t]+", line.strip(" \t"))
            class_id = whole_number_of(class_text)
            is_polygon = len(numbers) >= 6 and len(numbers) % 2 == 0
            if (len(numbers) > 4 and not is_polygon) or len(line.splitlines()) > 1:
                raise ValueError("neither a box nor a polygon")
        except ValueError:
            raise DataError(
                f"{path}: line {number} must be `class x y width height`, or `class x y x y x y "
                f"...` of a polygon, not {line[:80]!r}."
            ) from None
        if not 0 <= class_id < len(names) or not names[class_id]:
            raise DataError(f"{path}: line {number} has the class {class_id}, which has no name.")
        corners = _polygon if is_polygon else _corners
        found.append(LabelledBox(name, names[class_id], corners(numbers, width, height), where))
        polygons += is_polygon
    return found, polygons


def _corners(numbers: list[str], width: int, height: int) -> Corners:
    """The corners in pixels of a centre and a size in shares."""
    try:
        x, y, w, h = map(number_of, numbers)
    except ValueError:
        return NO_PLACE
    left, top = (x - w / 2) * width, (y - h / 2) * height
    return left, top, left + w * width, top + h * height


def _polygon(numbers: list[str], width: int, height: int) -> Corners:
    """The box in pixels around points in shares."""
    try:
        shares = list(map(number_of, numbers))
    except ValueError:
        return NO_PLACE
    return around((x * width, y * height) for x, y in zip(shares[::2], shares[1::2], strict=True))
