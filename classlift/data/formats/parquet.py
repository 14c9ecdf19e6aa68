"""Parquet: a folder with `images.parquet` and `boxes.parquet`, and the images below it."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from classlift.data.formats.collected import orphan
from classlift.data.image_files import ImageFiles
from classlift.data.labels import (
    LabelledBox,
    LabelledImage,
    Shard,
    flag_of,
    packed_shards,
    size_of,
)
from classlift.data.places import Place, split_of
from classlift.data.problems import ImageProblem
from classlift.errors import DataError
from classlift.reading import open_regular

IMAGES, BOXES = "images.parquet", "boxes.parquet"
_IMAGE_COLUMNS = {"image_id": pa.string(), "uri": pa.string()}
_SIZE = ("width", "height")
_BOX_COLUMNS = {
    "image_id": pa.string(),
    "label": pa.string(),
    **dict.fromkeys(("xmin", "ymin", "xmax", "ymax"), pa.float32()),
}
_FLAGS = ("is_crowd", "difficult")

MAX_ROWS, FREE_ROWS = 20_000_000, 1_000_000
"""The rows of one table, which is in memory at once: at most as many as the file has bytes, or
these few.

A few kilobytes can hold any number of equal rows; the boxes of real images take ten bytes each.
"""

MAX_NAME_BYTES = 4096
"""The longest text in a table: Linux's longest path."""


def find(path: Path) -> list[Place]:
    """A folder that holds the two tables."""
    is_parquet = all(os.path.isfile(path / name) for name in (IMAGES, BOXES))
    return [Place("parquet", path, path)] if is_parquet else []


def is_one(path: Path) -> bool:
    """Whether a file is one of the two tables."""
    return path.name in (IMAGES, BOXES)


def parquet_shards(place: Place) -> Iterator[Shard]:
    """The rows of both tables, whose columns are those of `classlift.data.schema`.

    `images.parquet` has `image_id` and `uri`, a path from the folder on; `boxes.parquet` has
    `image_id`, `label`, and `xmin`, `ymin`, `xmax`, `ymax` in pixels. `width`, `height`, `is_crowd`
    and `difficult` may be left out. `split` is the published split (`train`, `eval` or `test`);
    further columns are ignored.

    Args:
        place: of the folder.

    Yields:
        Shards that hold their labels.

    Raises:
        DataError: a table can't be read, or a column or a value is missing or of another kind;
            names file and row.

    """
    folder = place.path
    images = _read(folder / IMAGES, _IMAGE_COLUMNS, (*_SIZE, "split"))
    boxes = _read(folder / BOXES, _BOX_COLUMNS, _FLAGS)
    by_image: dict[str, list[LabelledBox]] = defaultdict(list)
    for row in boxes:
        by_image[row["image_id"]].append(
            LabelledBox(
                file_name=row["image_id"],
                label=row["label"],
                box=(row["xmin"], row["ymin"], row["xmax"], row["ymax"]),
                source=row["where"],
                is_crowd=flag_of(row["is_crowd"], "is_crowd", row["where"]),
                difficult=flag_of(row["difficult"], "difficult", row["where"]),
            )
        )
    listed: dict[str, str] = {}
    for row in images:
        name, where = row["image_id"], row["where"]
        if name in listed:
            raise DataError(f"{where} has the image_id {name!r}, as {listed[name]} has.")
        listed[name] = where
    files = ImageFiles(place.home, place.split)
    remarks = [
        orphan(IMAGES, name, box.source)
        for name, found in by_image.items()
        if name not in listed
        for box in found
    ]
    labelled = [_item(row, files, by_image, remarks) for row in images]
    yield from packed_shards("parquet", folder, labelled, remarks)


def _item(
    row: dict[str, Any],
    files: ImageFiles,
    boxes: dict[str, list[LabelledBox]],
    remarks: list[ImageProblem],
) -> tuple[LabelledImage, tuple[LabelledBox, ...]]:
    name = row["image_id"]
    found = files.find(row["uri"], row["where"])
    remarks += found.remark(row["uri"], name, row["where"])
    width, height = (size_of(row[side], side, row["where"]) for side in _SIZE)
    split = split_of(str(row["split"] or ""))
    image = LabelledImage(name, str(found.path), width, height, row["where"], split=split)
    return image, tuple(boxes.get(name, ()))


def _read(
    path: Path, needed: dict[str, pa.DataType], optional: Sequence[str]
) -> list[dict[str, Any]]:
    """The rows of a table, with `where`: file and row. Optional columns that lack are None."""
    columns = _columns(path, {**needed, **dict.fromkeys(optional)})
    missing = [name for name in needed if name not in columns]
    if missing:
        raise DataError(f"{path}: the column {missing[0]!r} is missing.")
    count = len(columns[next(iter(needed))])
    for name in optional:
        columns.setdefault(name, pa.nulls(count))
    for name, kind in needed.items():
        if name == "label":
            columns[name] = pc.fill_null(columns[name], "")  # the validator names the box
        elif kind == pa.string() and columns[name].null_count:
            row = columns[name].is_null().index(True).as_py()
            raise DataError(f"{path}: row {row} has no {name}.")
    rows: list[dict[str, Any]] = pa.table(columns).to_pylist()
    for number, row in enumerate(rows):
        row["where"] = f"{path.parent.name}/{path.name} row {number}"
        for name in ("xmin", "ymin", "xmax", "ymax"):
            if name in needed and row[name] is None:
                row[name] = float("nan")  # for the validator, which names the box
    return rows


def _columns(path: Path, kinds: dict[str, pa.DataType | None]) -> dict[str, pa.ChunkedArray]:
    """Reads columns of a table, so that what was written is what is read.

    Checksums of pages are compared where the file has some.

    Args:
        path: of the table.
        kinds: the columns; None is whatever says a number or a flag.

    Returns:
        Those of the columns that the table has, as these kinds.

    Raises:
        DataError: the table can't be read, is damaged, or a column is of another kind.

    """  # noqa: DOC501 - ArrowInvalid is caught
    columns = {}
    try:
        with (
            open_regular(path, "a table") as file,
            pq.ParquetFile(file, page_checksum_verification=True) as table,
        ):
            facts = table.metadata
            _require_whole(facts, os.fstat(file.fileno()).st_size, path)
            for name, kind in kinds.items():
                if name not in table.schema_arrow.names:
                    continue
                found = table.read([name], use_threads=False)[name]
                found.validate(full=True)  # texts may be no UTF-8, and indices lead nowhere
                if len(found) != facts.num_rows:
                    raise pa.ArrowInvalid(f"{len(found)} rows in {name}, not {facts.num_rows}")
                columns[name] = _cast(found, name, kind, path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the table can't be read ({error}).") from error
    return columns


def _require_whole(facts: pq.FileMetaData, size: int, path: Path) -> None:
    """Raises DataError for more rows than we read, and for counts that contradict one another."""
    groups = [facts.row_group(number) for number in range(facts.num_row_groups)]
    rows, most = sum(group.num_rows for group in groups), min(MAX_ROWS, max(FREE_ROWS, size))
    if max(facts.num_rows, rows) > most:
        raise DataError(
            f"{path}: the table has {max(facts.num_rows, rows):,} rows, and at most {most:,} are "
            f"read of a file of {size:,} bytes; cut it into several folders."
        )
    if rows != facts.num_rows:
        raise DataError(
            f"{path}: the table is damaged: it has {facts.num_rows} rows, and {rows} in its parts."
        )


def _cast(
    found: pa.ChunkedArray, name: str, kind: pa.DataType | None, path: Path
) -> pa.ChunkedArray:
    plain = found.type.value_type if pa.types.is_dictionary(found.type) else found.type
    if kind is None:
        kind = plain if pa.types.is_primitive(plain) or pa.types.is_null(plain) else pa.string()
    try:
        found = found.cast(kind)
    except pa.ArrowException as error:
        raise DataError(f"{path}: the column {name!r} must be {kind} ({error}).") from error
    if kind == pa.string() and (pc.max(pc.binary_length(found)).as_py() or 0) > MAX_NAME_BYTES:
        raise DataError(f"{path}: {name} has a text of more than {MAX_NAME_BYTES} bytes.")
    return found
