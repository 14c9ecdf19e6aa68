"""Hugging Face's image folder: `metadata.jsonl`, a line an image, with its objects."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from classlift.data import json_outline
from classlift.data.formats.collected import (
    Collected,
    class_of,
    find_files,
    listing,
    mapping,
    side,
    text,
)
from classlift.data.labels import NO_PLACE, Corners, Shard, nameless, size_of
from classlift.data.places import Place
from classlift.errors import DataError
from classlift.reading import GIGA, parse_json, read_text

MAX_BYTES = GIGA
"""The most bytes of a file, which is in memory at once."""

CLASSES = ("categories", "category", "labels", "label", "class", "category_id")
"""What the classes of the objects are called, the likeliest first."""


def find(path: Path) -> list[Place]:
    """The metadata of an image folder at a path."""
    return find_files("hugging_face", path, is_one, suffixes=(".jsonl",))


def is_one(path: Path) -> bool:
    """Whether a file's first line names an image and its objects."""
    if path.suffix.lower() != ".jsonl":
        return False
    keys = json_outline.outline(path).keys
    return "file_name" in keys and keys.get("objects") in ("{", "[")


def hugging_face_shards(place: Place) -> Iterator[Shard]:
    """Reads the metadata of an image folder whole: `file_name` and `objects` of each image.

    `bbox` is x, y, width and height in pixels, as in COCO. Classes are names in `categories`,
    `category` or `label`; one that is a number has no name here, and its box an empty label.

    Args:
        place: of the file.

    Yields:
        Shards that hold their labels.

    Raises:
        DataError: a line is no such thing; names file and line.

    """
    path, found = place.path, Collected(place)
    lines = read_text(path, "the metadata of the images", MAX_BYTES).split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where, at = f"{path.parent.name}/{path.name} line {number}", f"{path}: line {number}"
        record = mapping(parse_json(line, at), "an image", at)
        width, height = (size_of(record.get(name), name, at) for name in ("width", "height"))
        name = text(record.get("file_name"), "`file_name`", at)
        image = found.add(name, where, at, width, height)
        for count, (bbox, category) in enumerate(_objects(record.get("objects"), at), start=1):
            source = f"{where} object {count}"
            label = class_of(category, f"{at}: object {count}")
            if isinstance(category, int):
                label, source = nameless(source, category)
            image.add(label, _corners(bbox), source)
    yield from found.shards()


def _objects(value: Any, at: str) -> Sequence[tuple[Any, Any]]:
    """The box and the class of each object, which are two lists, or a list of both."""
    if isinstance(value, list):
        records = [mapping(item, "an object", at) for item in value]
        return [(record.get("bbox"), record.get(_class_key(record))) for record in records]
    columns = mapping(value, "`objects`", at)
    boxes = listing(columns.get("bbox"), "`bbox`", at)
    classes = listing(columns.get(_class_key(columns)), f"`{CLASSES[0]}`", at)
    if len(boxes) != len(classes):
        raise DataError(f"{at} has {len(boxes)} boxes and {len(classes)} classes.")
    return list(zip(boxes, classes, strict=True))


def _class_key(record: Mapping[str, Any]) -> str:
    return next((name for name in CLASSES if name in record), CLASSES[0])


def _corners(bbox: Any) -> Corners:
    if not isinstance(bbox, list) or len(bbox) != 4:
        return NO_PLACE
    x, y, width, height = map(side, bbox)
    return x, y, x + width, y + height
