"""Parquet: a folder with `images.parquet` and `boxes.parquet`, and the images below it."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.dataset.labels import LabelledBox, LabelledImage, Shard, chunks
from components.dataset.paths import inside
from components.errors import DataError

IMAGES, BOXES = "images.parquet", "boxes.parquet"
_IMAGE_COLUMNS = {"image_id": pa.string(), "uri": pa.string()}
_SIZE = {"width": pa.int32(), "height": pa.int32()}
_BOX_COLUMNS = {
    "image_id": pa.string(),
    "label": pa.string(),
    **dict.fromkeys(("xmin", "ymin", "xmax", "ymax"), pa.float32()),
}
_FLAGS = {"is_crowd": pa.bool_(), "difficult": pa.bool_()}


def is_parquet(folder: Path) -> bool:
    """Whether a folder holds the two tables."""
    return (folder / IMAGES).is_file() and (folder / BOXES).is_file()


def parquet_shards(folder: Path, images_folder: Path | None = None) -> Iterator[Shard]:
    """The rows of both tables, whose columns are those of `components.dataset.schema`.

    `width`, `height`, `is_crowd` and `difficult` may be left out, further columns are ignored.
    images_folder: what `uri`s are relative to; None is the folder itself.

    Raises DataError, naming file and row, for a table that can't be read, columns that are
    missing or of another kind, values that are, and boxes of images that are not listed.
    """
    images = _read(folder / IMAGES, _IMAGE_COLUMNS, _SIZE)
    boxes = _read(folder / BOXES, _BOX_COLUMNS, _FLAGS)
    by_image: dict[str, list[LabelledBox]] = defaultdict(list)
    for row in boxes:
        by_image[row["image_id"]].append(
            LabelledBox(
                file_name=row["image_id"],
                label=row["label"],
                box=(row["xmin"], row["ymin"], row["xmax"], row["ymax"]),
                source=row["where"],
                is_crowd=bool(row["is_crowd"]),
                difficult=bool(row["difficult"]),
            )
        )
    listed = {row["image_id"] for row in images}
    for name, found in by_image.items():
        if name not in listed:
            raise DataError(f"{found[0].source} has the image_id {name!r}, which {IMAGES} lacks.")
    for part in chunks(images):
        yield Shard(
            "parquet", folder, tuple(_item(row, folder, images_folder, by_image) for row in part)
        )


def _item(
    row: dict[str, Any],
    folder: Path,
    images_folder: Path | None,
    boxes: dict[str, list[LabelledBox]],
) -> tuple[LabelledImage, tuple[LabelledBox, ...]]:
    name = row["image_id"]
    uri = inside(images_folder or folder, row["uri"], row["where"])
    image = LabelledImage(name, str(uri), row["width"], row["height"], row["where"])
    return image, tuple(boxes.get(name, ()))


def _read(
    path: Path, needed: dict[str, pa.DataType], optional: dict[str, pa.DataType]
) -> list[dict[str, Any]]:
    """The rows of a table, with `where`: file and row. Optional columns that lack are None."""
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: the table can't be read ({error}).") from error
    missing = [name for name in needed if name not in table.column_names]
    if missing:
        raise DataError(f"{path}: the column {missing[0]!r} is missing.")
    columns = {}
    for name, kind in {**needed, **optional}.items():
        if name not in table.column_names:
            columns[name] = pa.nulls(table.num_rows, kind)
            continue
        try:
            columns[name] = table[name].cast(kind)
        except pa.ArrowException as error:
            raise DataError(f"{path}: the column {name!r} must be {kind} ({error}).") from error
        if kind == pa.string() and columns[name].null_count:
            row = columns[name].is_null().index(True).as_py()
            raise DataError(f"{path}: row {row} has no {name}.")
    rows: list[dict[str, Any]] = pa.table(columns).to_pylist()
    for number, row in enumerate(rows):
        row["where"] = f"{path.parent.name}/{path.name} row {number}"
        for name in ("xmin", "ymin", "xmax", "ymax"):
            if name in needed and row[name] is None:
                row[name] = float("nan")  # for the validator, which names the box
    return rows
