"""CreateML: one JSON list of images, each with its objects, as Roboflow and MakeML write it."""

from collections.abc import Iterator
from pathlib import Path

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
from classlift.data.labels import Corners, Shard
from classlift.data.places import Place
from classlift.reading import GIGA, read_json

MAX_BYTES = GIGA
"""The most bytes of a JSON file, which is in memory at once."""


def find(path: Path) -> list[Place]:
    """CreateML's JSON files at a path."""
    return find_files("createml", path, is_one)


def is_one(path: Path) -> bool:
    """Whether a file is CreateML's JSON."""
    found = json_outline.outline(path)
    return (
        path.suffix.lower() == ".json"
        and found.kind == "["
        and bool({"image", "imagefilename"} & found.inner)
        and bool({"annotations", "annotation"} & found.inner)
    )


def createml_shards(place: Place) -> Iterator[Shard]:
    """Reads a CreateML JSON file whole. A box is its centre and its size in pixels.

    Args:
        place: of the file.

    Yields:
        Shards that hold their labels.

    Raises:
        DataError: it is no such thing; names file and record.

    """
    path, found = place.path, Collected(place)
    records = listing(read_json(path, "CreateML JSON", MAX_BYTES), "CreateML JSON", str(path))
    for number, record in enumerate(records):
        where = f"{path.parent.name}/{path.name} image {number}"
        entry = mapping(record, "an image", f"{path}: image {number}")
        name = text(entry.get("image", entry.get("imagefilename")), "`image`", f"{path}: {where}")
        image = found.add(name, where, str(path))
        objects = entry.get("annotations", entry.get("annotation"))
        for at, item in enumerate(listing(objects, "`annotations`", f"{path}: {where}")):
            source = f"{where} annotation {at}"
            annotation = mapping(item, "an annotation", f"{path}: {source}")
            label = class_of(annotation.get("label"), f"{path}: {source}")
            image.add(label, _corners(annotation.get("coordinates")), source)
    yield from found.shards()


def _corners(coordinates: object) -> Corners:
    values = coordinates if isinstance(coordinates, dict) else {}
    x, y, width, height = (side(values.get(name)) for name in ("x", "y", "width", "height"))
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2
