"""YOLO: a folder with `images/`, `labels/` and the names of the classes."""

from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from components.dataset.labels import LabelledBox, LabelledImage, Labels
from components.dataset.paths import inside
from components.errors import DataError

SUFFIXES = {".jpg", ".jpeg", ".png"}
NAMES = ("data.yaml", "dataset.yaml", "classes.txt")


def is_yolo(folder: Path) -> bool:
    """Whether a folder has the layout of a YOLO data set."""
    return (folder / "images").is_dir() and (folder / "labels").is_dir()


def read_yolo(folder: Path) -> Labels:
    """Reads all images below `images/` with the label file of the same place below `labels/`.

    A line is `class x y width height`, the centre and the size as shares of the image. An image
    without a label file has no boxes.

    Raises DataError, naming file and line, for lines that are no such thing, unknown classes and
    labels of images that are not there.
    """
    names = _class_names(folder)
    images: list[LabelledImage] = []
    boxes: list[LabelledBox] = []
    known: set[Path] = set()
    for path in sorted((folder / "images").rglob("*")):
        if path.suffix.lower() not in SUFFIXES:
            continue
        name = str(path.relative_to(folder))
        labels = folder / "labels" / path.relative_to(folder / "images").with_suffix(".txt")
        known.add(labels)
        image = inside(folder, name, str(folder))
        width, height = _size(image)
        images.append(LabelledImage(name, str(image), width, height, f"{folder.name}/{name}"))
        if labels.exists():
            boxes += _boxes(labels, name, width, height, names, folder)
    orphans = sorted(set((folder / "labels").rglob("*.txt")) - known - {folder / "classes.txt"})
    if orphans:
        raise DataError(f"{orphans[0]}: there is no image of this name below {folder / 'images'}.")
    return Labels(images, boxes)


def _class_names(folder: Path) -> list[str]:
    for name in NAMES:
        path = folder / name
        if not path.exists():
            continue
        if path.suffix == ".txt":
            return path.read_text("utf-8").split("\n")
        try:
            document: Any = yaml.safe_load(path.read_text("utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: not valid YAML ({error}).") from error
        names = document.get("names") if isinstance(document, dict) else None
        if isinstance(names, dict) and sorted(names) == list(range(len(names))):
            names = [names[i] for i in range(len(names))]
        if not isinstance(names, list):
            raise DataError(f"{path}: `names` must list the classes, numbered from 0.")
        return [str(n) for n in names]
    raise DataError(f"{folder}: the names of the classes are missing: add {' or '.join(NAMES)}.")


def _size(path: Path) -> tuple[int, int]:
    """Width and height from the header; 0, 0 when there is none (the snapshot says why)."""
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, Image.DecompressionBombError):
        return 0, 0


def _boxes(
    path: Path, name: str, width: int, height: int, names: list[str], folder: Path
) -> list[LabelledBox]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        raise DataError(f"{path}: not a text file in UTF-8.") from None
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{folder.name}/{path.relative_to(folder)} line {number}"
        try:
            class_text, *numbers = line.split()
            class_id = int(class_text)
            x, y, w, h = map(float, numbers)
        except ValueError:
            raise DataError(
                f"{path}: line {number} must be `class x y width height`, not {line[:80]!r}."
            ) from None
        if not 0 <= class_id < len(names) or not names[class_id]:
            raise DataError(f"{path}: line {number} has the class {class_id}, which has no name.")
        left, top = (x - w / 2) * width, (y - h / 2) * height
        box = (left, top, left + w * width, top + h * height)
        found.append(LabelledBox(name, names[class_id], box, where))
    return found
