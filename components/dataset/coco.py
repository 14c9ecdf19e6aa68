"""COCO JSON: reading it into the snapshot's tables."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.dataset.paths import inside
from components.errors import DataError


@dataclass(frozen=True)
class LabelledImage:
    """One image of a source: its file, the size that the labels claim, and where it is named."""

    file_name: str
    path: Path
    width: int
    height: int
    source: str


@dataclass(frozen=True)
class LabelledBox:
    """One box of a source, xmin, ymin, xmax, ymax in pixels."""

    file_name: str
    label: str
    box: tuple[float, float, float, float]
    is_crowd: bool
    source: str


@dataclass(frozen=True)
class Labels:
    """What a reader returns: the images and boxes of one source, in the order of the file."""

    images: list[LabelledImage]
    boxes: list[LabelledBox]


def read_coco(path: Path) -> Labels:
    """Reads a COCO JSON file; its `file_name`s are relative to its folder.

    Raises DataError, naming file and record, when the file is not COCO JSON, an id repeats, a
    reference leads nowhere, or a path leaves the folder. What the boxes hold is not judged here.
    """
    try:
        coco = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(f"{path}: the labels can't be read ({error.strerror}).") from error
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error}).") from error
    if not isinstance(coco, dict):
        raise DataError(f"{path}: not COCO JSON: the file must hold one object.")
    categories = _by_id(coco, "categories", path)
    images = {
        image_id: _image(record, path) for image_id, record in _by_id(coco, "images", path).items()
    }
    names = [image.file_name for image in images.values()]
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}: the image file {repeated!r} is listed more than once.")
    boxes = []
    for annotation_id, record in _by_id(coco, "annotations", path).items():
        where = f"{path.parent.name}/{path.name} annotation {annotation_id}"
        image = _refer(images, record, "image_id", path, where)
        category = _refer(categories, record, "category_id", path, where)
        boxes.append(
            LabelledBox(
                file_name=image.file_name,
                label=str(category.get("name", "")),
                box=_corners(record.get("bbox"), f"{path}: annotation {annotation_id}"),
                is_crowd=bool(record.get("iscrowd", 0)),
                source=where,
            )
        )
    return Labels(list(images.values()), boxes)


def _by_id(coco: Mapping[str, Any], key: str, path: Path) -> dict[int, dict[str, Any]]:
    records = coco.get(key)
    if not isinstance(records, list):
        raise DataError(f"{path}: not COCO JSON: there is no list {key!r}.")
    found: dict[int, dict[str, Any]] = {}
    for number, record in enumerate(records):
        if not isinstance(record, dict) or type(record.get("id")) is not int:
            raise DataError(f"{path}: {key}[{number}] needs a whole number as `id`.")
        if record["id"] in found:
            raise DataError(
                f"{path}: the id {record['id']} stands more than once in {key}; ids must be unique."
            )
        found[record["id"]] = record
    return found


def _image(record: Mapping[str, Any], path: Path) -> LabelledImage:
    where = f"{path}: image {record['id']}"
    name, width, height = (record.get(key) for key in ("file_name", "width", "height"))
    if not isinstance(name, str) or not name:
        raise DataError(f"{where} has no file_name.")
    if type(width) is not int or type(height) is not int:
        raise DataError(f"{where} ({name}) needs width and height in whole pixels.")
    return LabelledImage(
        name,
        inside(path.parent, name, where),
        width,
        height,
        f"{path.parent.name}/{path.name} image {record['id']}",
    )


def _refer(
    targets: Mapping[int, Any], record: Mapping[str, Any], key: str, path: Path, where: str
) -> Any:
    try:
        return targets[record[key]]
    except (KeyError, TypeError):
        raise DataError(
            f"{path}: {where} has the {key} {record.get(key)!r}, which the file does not define."
        ) from None


def _corners(bbox: Any, where: str) -> tuple[float, float, float, float]:
    if (
        not isinstance(bbox, list)
        or len(bbox) != 4
        or not all(type(v) in (int, float) for v in bbox)
    ):
        raise DataError(f"{where} needs bbox: [x, y, width, height], four numbers.")
    x, y, width, height = map(float, bbox)
    return x, y, x + width, y + height
