"""COCO JSON: reading it, and writing it for other tools."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from classlift.data.formats.coco_columns import (
    CocoColumns,
    corners_of,
    difficult_of,
    name_of,
    read_columns,
)
from classlift.data.formats.collected import find_files, home_of, orphan
from classlift.data.formats.unread import named
from classlift.data.image_files import Found, ImageFiles
from classlift.data.json_outline import outline
from classlift.data.labels import (
    NO_PLACE,
    PACKED_BOXES,
    SHARD_IMAGES,
    LabelledBox,
    LabelledImage,
    Rounding,
    Shard,
    chunks,
    flag_of,
    nameless,
    packed,
    packed_shards,
    remarks_by_shard,
    size_of,
)
from classlift.data.places import Place, split_of
from classlift.data.problems import INFO, ImageProblem
from classlift.errors import DataError
from classlift.paths import inside
from classlift.reading import GIGA, read_json
from classlift.settings.sources import EVAL, TRAIN
from classlift.text import shorten

ANNOTATIONS = "annotations.json"
"""What we call the file that we write."""

REPEATED_SHOWN = 10
MAX_BYTES = 4 * GIGA
"""The most bytes of a JSON file, which is in memory at once; larger sets go in as several files, or
as Parquet."""

ROUNDING = Rounding(pixels=0.01)
"""Two decimals of x and of width, whose sum is the side."""

SHARED_ID = "an annotation has an id of its own; those that share one are all read"

Id = int | str


def find(path: Path) -> list[Place]:
    """Finds COCO JSON files at a path, each that is not told to be another one.

    Of COCO's own files only the instances are taken, and not `trainval` where train and val are.

    Args:
        path: of a file, or of a folder that has them directly in it or in one such as
            `annotations`.

    Returns:
        A place a file.

    """
    if not os.path.isdir(path):
        is_file = path.suffix.lower() == ".json" and not named(path)
        return [Place("coco", path, home_of(path), split_of(path.stem))] if is_file else []
    found = find_files("coco", path, is_one)
    found = [p for p in found if p.path.name.startswith("instances")] or found
    if {TRAIN, EVAL} <= {place.split for place in found}:
        found = [place for place in found if "trainval" not in place.path.stem]
    return found


def is_one(file: Path) -> bool:
    """Whether a file is COCO's JSON, and not told to be another one."""
    if file.suffix.lower() != ".json" or named(file):
        return False
    kinds = outline(file).keys
    return "shapes" not in kinds and "[" in (kinds.get("images"), kinds.get("annotations"))


def coco_shards(place: Place) -> Iterator[Shard]:
    """Reads a COCO JSON file, and hands out its images with their boxes in shards.

    A box is `bbox`: x, y, width and height in pixels; segmentations are not looked at. `iscrowd`
    marks crowds; `difficult` is read where tools write it, also among `attributes`. Classes keep
    their spelling; ids need not be in order. An annotation of a category that has no name, or is
    not there, is a box with an empty label; one of an image that is not there is left out, and
    said. A file as COCO's own are is read in a stream, or what was kept of it; another one whole.

    Args:
        place: of the file.

    Yields:
        Shards that hold their labels. What the boxes hold is not judged here.

    Raises:
        DataError: the file is not COCO JSON, an id of an image or a category repeats, or a path
            leaves the folder by a link; names file and record.

    """
    files = ImageFiles(place.home, place.split)
    columns = read_columns(place.path, MAX_BYTES, place.kept)
    shards = columns and _shards_of_columns(columns, place.path, files)
    yield from shards or shards_of(load(place.path), place.path, files)


def _shards_of_columns(
    columns: CocoColumns, path: Path, files: ImageFiles
) -> Iterator[Shard] | None:
    """What `shards_of` gives of the same file; None where two of its images are one file."""
    remarks: list[ImageProblem] = []
    images = [
        _image(record, path, files, remarks)
        for batch in columns.images.to_batches(SHARD_IMAGES)
        for record in batch.to_pylist()
    ]
    if len({image.uri for image in images}) < len(images):
        return None
    parts = list(chunks(images)) or [()]
    place = {image.file_name: row // SHARD_IMAGES for row, image in enumerate(images)}
    said = remarks_by_shard(remarks, place)
    of_image = columns.boxes["image"].to_numpy()
    order = np.argsort(of_image, kind="stable")
    ends = np.searchsorted(of_image[order], np.arange(1, len(parts) + 1) * SHARD_IMAGES)
    return (
        packed("coco", path, part, _packed(columns, rows, number, path), said.get(number, []))
        for number, (part, rows) in enumerate(
            zip(parts, np.split(order, ends)[: len(parts)], strict=True)
        )
    )


def _packed(columns: CocoColumns, rows: Any, shard: int, path: Path) -> pa.Table:
    """`PACKED_BOXES` of some rows of the boxes, which are of one shard."""
    boxes = columns.boxes.take(pa.array(rows))
    labels, ids = (columns.categories[name].take(boxes["category"]) for name in ("name", "id"))
    sources = pc.binary_join_element_wise(
        f"{path.parent.name}/{path.name} annotation", boxes["id"].cast(pa.string()), " "
    )
    numbered = pc.binary_join_element_wise(sources, "of class", ids.cast(pa.string()), " ")
    columns_of = {name: boxes[name] for name in boxes.column_names}
    columns_of |= {
        "image": pc.subtract(boxes["image"], pa.scalar(shard * SHARD_IMAGES, pa.int32())),
        "label": labels,
        "source": pc.if_else(pc.equal(labels, ""), numbered, sources),
    }
    return pa.table([columns_of[name] for name in PACKED_BOXES.names], schema=PACKED_BOXES)


def classes_of(place: Place) -> list[str]:
    """The names of the categories in the order of the file."""
    columns = read_columns(place.path, MAX_BYTES, place.kept)
    if columns:
        return [str(name) for name in columns.categories["name"].to_pylist()]
    faults: list[str] = []
    records = _by_id(load(place.path), "categories", place.path, faults)
    return [name_of(record, place.path) for record in records.values()]


def shards_of(
    coco: Mapping[str, Any], path: Path, files: ImageFiles | None = None
) -> Iterator[Shard]:
    """Hands out the images of a COCO document, as `coco_shards`.

    Args:
        coco: what `load` read.
        path: of its file, for errors.
        files: where its images are looked for; None leaves them as they are named, below its
            folder.

    Yields:
        Shards that hold their labels.

    Raises:
        DataError: as `coco_shards`.

    """
    faults: list[str] = []
    remarks: list[ImageProblem] = []
    categories = {
        category_id: name_of(record, path)
        for category_id, record in _by_id(coco, "categories", path, faults).items()
    }
    records = _by_id(coco, "images", path, faults)
    annotations = _records(coco, "annotations", path)
    if annotations and not any({"bbox", "category_id"} & record.keys() for record in annotations):
        raise DataError(
            f"{path}: its annotations have neither `bbox` nor `category_id`, as those of captions "
            "and of panoptic segments; name the file of the instances."
        )
    images = {
        image_id: _image(record, path, files, remarks) for image_id, record in records.items()
    }
    names = Counter(record.get("file_name") for record in coco["images"])
    faults += _repeated("file name", "images", names) or _repeated(
        "image file", "images", Counter(image.uri for image in images.values())
    )
    if faults:  # a broken export: say all that is wrong with it at once
        missing = [image.uri for image in images.values() if not os.path.isfile(image.uri)]
        if missing:
            faults.append(
                f"{len(missing)} of its {len(images)} image files are not there "
                f"(the first: {missing[0]})"
            )
        raise DataError(f"{path}: {'; '.join(faults)}.")
    boxes: dict[str, list[LabelledBox]] = {image.file_name: [] for image in images.values()}
    file = f"{path.parent.name}/{path.name}"
    seen: set[str] = set()
    shared: Counter[tuple[str, str]] = Counter()
    for number, record in enumerate(annotations):
        found = record.get("id")
        where = f"{file} annotation {number if found is None else shorten(str(found), 80)}"
        image = _referred(images, record, "image_id")
        if image is None:
            remarks.append(orphan(path.name, record.get("image_id"), where))
            continue
        shared[image.file_name, image.source] += found is not None and repr(found) in seen
        seen.add(repr(found))
        label = _referred(categories, record, "category_id")
        source = where
        if not label:
            label, source = nameless(where, repr(record.get("category_id")))
        boxes[image.file_name].append(
            LabelledBox(
                file_name=image.file_name,
                label=label,
                box=corners_of(record.get("bbox")) or NO_PLACE,
                is_crowd=flag_of(record.get("iscrowd"), "iscrowd", path, where),
                difficult=difficult_of(record, path, where),
                source=source,
            )
        )
    remarks += [
        ImageProblem(name, source, f"{SHARED_ID}: {count}", INFO)
        for (name, source), count in shared.items()
        if count
    ]
    labelled = ((image, boxes[image.file_name]) for image in images.values())
    yield from packed_shards("coco", path, labelled, remarks)


def names_by_id(coco: Mapping[str, Any], path: Path) -> tuple[dict[Id, str], dict[Id, str]]:
    """The names in a COCO document, by id.

    Args:
        coco: what `load` read.
        path: of its file, for errors.

    Returns:
        The file names of the images, and the names of the categories.

    Raises:
        DataError: it is not COCO JSON.

    """
    faults: list[str] = []
    images = _by_id(coco, "images", path, faults)
    categories = _by_id(coco, "categories", path, faults)
    return (
        {image_id: str(record.get("file_name")) for image_id, record in images.items()},
        {category_id: name_of(record, path) for category_id, record in categories.items()},
    )


def load(path: Path) -> dict[str, Any]:
    """A COCO document. Raises DataError when the file is not JSON, or no object."""
    coco = read_json(path, "COCO JSON", MAX_BYTES)
    if not isinstance(coco, dict):
        raise DataError(f"{path}: not COCO JSON: the file must hold one object.")
    return coco


def _by_id(
    coco: Mapping[str, Any], key: str, path: Path, faults: list[str]
) -> dict[Id, dict[str, Any]]:
    records = _records(coco, key, path)
    for number, record in enumerate(records):
        if type(record.get("id")) not in (int, str):
            raise DataError(f"{path}: {key}[{number}] needs a number or a string as `id`.")
    faults += _repeated("id", key, Counter(record["id"] for record in records))
    return {record["id"]: record for record in records}


def _records(coco: Mapping[str, Any], key: str, path: Path) -> list[dict[str, Any]]:
    records = coco.get(key)
    if not isinstance(records, list):
        raise DataError(f"{path}: not COCO JSON: there is no list {key!r}.")
    for number, record in enumerate(records):
        if not isinstance(record, dict):
            raise DataError(f"{path}: {key}[{number}] must be an object.")
    return records


def _repeated(what: str, key: str, counts: Counter[Any]) -> list[str]:
    """A fault that names values which stand more than once, or nothing."""
    repeated = [value for value, count in counts.items() if count > 1]
    if not repeated:
        return []
    shown = ", ".join(repr(value) for value in repeated[:REPEATED_SHOWN])
    more = f" and {len(repeated) - REPEATED_SHOWN} more" if len(repeated) > REPEATED_SHOWN else ""
    return [f"the {what} {shown}{more} stands more than once in {key}"]


def _image(
    record: Mapping[str, Any], path: Path, files: ImageFiles | None, remarks: list[ImageProblem]
) -> LabelledImage:
    where = f"{path}: image {record['id']}"
    name, width, height = (record.get(key) for key in ("file_name", "width", "height"))
    if not isinstance(name, str) or not name:
        raise DataError(f"{where} has no file_name.")
    source = f"{path.parent.name}/{path.name} image {record['id']}"
    found = files.find(name, where) if files else Found(inside(path.parent, name, where))
    file_name = files.relative(found.path) if files else name
    remarks += found.remark(name, file_name, source)
    return LabelledImage(
        file_name=file_name,
        uri=str(found.path),
        width=size_of(width, "width", f"{where} ({name})"),
        height=size_of(height, "height", f"{where} ({name})"),
        source=source,
    )


def _referred(targets: Mapping[Id, Any], record: Mapping[str, Any], key: str) -> Any:
    """What a record refers to; None where the file does not define it."""
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None  # Python takes a truth value for 0 or 1
    return targets.get(value)


def write_coco(images: pa.Table, boxes: pa.Table, ids: Mapping[str, int], path: Path) -> None:
    """Writes a data set as COCO JSON.

    Args:
        images: `schema.IMAGES`, with `uri`s that are relative, for others to read them: they are
            the file names.
        boxes: `schema.BOXES` of these images, in pixels.
        ids: of all classes, by name.
        path: of the file.

    """
    numbers = {image_id: i for i, image_id in enumerate(images["image_id"].to_pylist(), 1)}
    document = {
        "images": [
            {
                "id": numbers[row["image_id"]],
                "file_name": row["uri"],
                "width": row["width"],
                "height": row["height"],
            }
            for row in images.to_pylist()
        ],
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
        "annotations": [
            {
                "id": row["box_id"] + 1,
                "image_id": numbers[row["image_id"]],
                "category_id": ids[row["label"]],
                "bbox": [
                    row["xmin"],
                    row["ymin"],
                    row["xmax"] - row["xmin"],
                    row["ymax"] - row["ymin"],
                ],
                "area": (row["xmax"] - row["xmin"]) * (row["ymax"] - row["ymin"]),
                "iscrowd": int(row["is_crowd"]),
                **({"attributes": {"difficult": True}} if row["difficult"] else {}),
            }
            for row in boxes.to_pylist()
        ],
    }
    path.write_text(json.dumps(document), "utf-8")
