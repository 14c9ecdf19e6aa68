"""COCO JSON as columns: read in a stream, in a hundredth of the memory of its objects, and kept."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from classlift.data.json_stream import Irregular, records
from classlift.data.kept_labels import kept
from classlift.data.labels import MAX_SIDE, NO_PLACE, Corners, flag_of, number_of, size_of
from classlift.errors import DataError
from classlift.paths import state

LISTS = ("images", "categories", "annotations")
_NAMES = pa.schema([("id", pa.int64()), ("name", pa.string())])
_IMAGES = pa.schema(
    [
        ("id", pa.int64()),
        ("file_name", pa.string()),
        ("width", pa.int32()),  # null where the labels do not say
        ("height", pa.int32()),
    ]
)
_BOXES = pa.schema(
    [
        ("id", pa.int64()),
        ("image", pa.int32()),  # its row
        ("category", pa.int32()),  # its row
        *[(side, pa.float64()) for side in ("xmin", "ymin", "xmax", "ymax")],
        ("is_crowd", pa.bool_()),
        ("difficult", pa.bool_()),
    ]
)


@dataclass(frozen=True)
class CocoColumns:
    """What a COCO file says of classes, images and boxes, each in the order of the file.

    Attributes:
        categories: their ids and names.
        images: their ids, names of files, and sizes in pixels.
        boxes: with the rows of their image and category; four NaN for what has no place.

    """

    categories: pa.Table
    images: pa.Table
    boxes: pa.Table


def read_columns(path: Path, most_bytes: int, folder: Path | None) -> CocoColumns | None:
    """Reads a COCO file in a stream, or what was kept of it.

    Args:
        path: of the file.
        most_bytes: that it may have.
        folder: where the columns are kept; a file that has not changed since is not read again.

    Returns:
        The columns; None where the file is not quite as COCO's own are: ids that are no whole
        numbers or stand twice, references that lead nowhere, whatever is wrong. It is for who
        reads it whole to judge.

    Raises:
        DataError: the file can't be read.

    """
    if folder is None:
        return _read(path, most_bytes)

    def read() -> tuple[pa.Table, ...] | None:
        found = _read(path, most_bytes)
        return (found.categories, found.images, found.boxes) if found else None

    tables = kept(folder, path, read)
    return CocoColumns(*tables) if tables else None


def _read(path: Path, most_bytes: int) -> CocoColumns | None:
    before = state(path)
    if before[0] > most_bytes:
        return None
    collected = _Collected(path)
    try:
        for key, record in records(path, "COCO JSON", LISTS):
            collected.add(key, record)
        columns = collected.columns()
    except Irregular:
        return None
    return columns if state(path) == before else None


class _Collected:
    """The columns of a file while it is read, as numbers without an object for each.

    Args:
        path: of the file, for errors.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._add = {
            "categories": self._category,
            "images": self._image,
            "annotations": self._annotation,
        }
        self._ids = {key: array("q") for key in LISTS}
        self._classes: list[str] = []
        self._images: list[tuple[str, int | None, int | None]] = []
        self._refers = array("q"), array("q")
        self._sides = array("d")
        self._flags = bytearray(), bytearray()

    def add(self, key: str, record: Any) -> None:
        """Adds a record of one of `LISTS`. Raises Irregular."""
        if not isinstance(record, dict):
            raise Irregular("no object")
        try:
            self._ids[key].append(_whole(record, "id"))
            self._add[key](record)
        except (DataError, OverflowError) as error:  # beyond 64 bits
            raise Irregular(str(error)) from None

    def _category(self, record: Mapping[str, Any]) -> None:
        self._classes.append(name_of(record, self._path))

    def _image(self, record: Mapping[str, Any]) -> None:
        name = record.get("file_name")
        if not isinstance(name, str) or not name:
            raise Irregular("no file_name")
        width, height = (size_of(record.get(side), side, name) for side in ("width", "height"))
        if max(width or 0, height or 0) > MAX_SIDE:
            raise Irregular("size")
        self._images.append((name, width, height))

    def _annotation(self, record: Mapping[str, Any]) -> None:
        self._refers[0].append(_whole(record, "image_id"))
        self._refers[1].append(_whole(record, "category_id"))
        self._sides.extend(corners_of(record.get("bbox")) or NO_PLACE)
        self._flags[0].append(flag_of(record.get("iscrowd"), "iscrowd"))
        self._flags[1].append(difficult_of(record))

    def columns(self) -> CocoColumns:
        """What was added. Raises Irregular for an id that stands twice or that nothing has."""
        ids = {key: np.frombuffer(found, np.int64) for key, found in self._ids.items()}
        names, widths, heights = zip(*self._images, strict=True) if self._images else [()] * 3
        repeated = any(len(np.unique(found)) < len(found) for found in ids.values())
        if repeated or len(set(names)) < len(names):
            raise Irregular("repeated")
        rows = [
            _rows(np.frombuffer(refers, np.int64), ids[key])
            for refers, key in zip(self._refers, ("images", "categories"), strict=True)
        ]
        sides = np.frombuffer(self._sides, np.float64).reshape(-1, 4)
        flags = [np.frombuffer(found, np.bool_) for found in self._flags]
        return CocoColumns(
            _table(_NAMES, ids["categories"], self._classes),
            _table(_IMAGES, ids["images"], names, widths, heights),
            _table(_BOXES, ids["annotations"], *rows, *sides.T, *flags),
        )


def _whole(record: Mapping[str, Any], key: str) -> int:
    value = record.get(key)
    if type(value) is not int:
        raise Irregular(key)
    return value


def _rows(refers: npt.NDArray[np.int64], ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    order = np.argsort(ids)
    place = np.searchsorted(ids[order], refers)
    if len(refers) and (not len(ids) or (ids[order][place.clip(max=len(ids) - 1)] != refers).any()):
        raise Irregular("refers to nothing")
    return order[place]


def _table(schema: pa.Schema, *columns: Any) -> pa.Table:
    arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def name_of(record: Mapping[str, Any], path: Path) -> str:
    """The name of a category; one without is a finding of the validator where it is used.

    Args:
        record: of the category.
        path: of its file, for errors.

    Returns:
        The name; empty where there is none.

    Raises:
        DataError: it is neither a text nor a number.

    """
    name = record.get("name", "")
    if type(name) not in (str, int):
        raise DataError(f"{path}: category {record['id']} needs a string or a number as `name`.")
    return str(name)


def difficult_of(record: Mapping[str, Any], *where: object) -> bool:
    """Whether an annotation is difficult.

    COCO itself has no such flag; Datumaro and CVAT write it among `attributes`, as we do.

    Args:
        record: of the annotation.
        where: file and record, in parts.

    Returns:
        The flag.

    """
    attributes = record.get("attributes")
    inner = attributes.get("difficult") if isinstance(attributes, dict) else None
    return flag_of(record.get("difficult", inner), "difficult", *where)


def corners_of(bbox: Any) -> Corners | None:
    """The corners of COCO's x, y, width, height, all in pixels; None for what is no box."""
    if (
        not isinstance(bbox, list)
        or len(bbox) != 4
        or not all(type(v) in (int, float, str) for v in bbox)
    ):
        return None
    try:
        x, y, width, height = (number_of(v) if type(v) is str else float(v) for v in bbox)
    except (ValueError, OverflowError):  # JSON knows integers of any length
        return None
    return x, y, x + width, y + height
