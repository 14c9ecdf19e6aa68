"""LabelMe: a JSON file for each image, with its shapes, as LabelMe and X-AnyLabeling write it."""

import hashlib
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classlift.data import json_outline
from classlift.data.formats.collected import (
    LABEL_FOLDERS,
    Collected,
    class_of,
    home_of,
    listing,
    mapping,
    points_of,
    text,
)
from classlift.data.labels import NO_PLACE, Corners, Labels, Shard, chunks, flag_of, size_of
from classlift.data.media import embedded_uri
from classlift.data.places import Place, folders_in
from classlift.data.shapes import around, around_ellipse
from classlift.data.unusable import unread
from classlift.errors import DataError
from classlift.paths import inside, state
from classlift.reading import MEGA, read_json

MAX_BYTES = 1000 * MEGA
"""The most bytes of one JSON file, which may hold its image too."""

LOOKED_AT = 10
"""Files of a folder that are looked at: one of them may be damaged."""

_ENCLOSED = {
    "polygon": "polygons",
    "circle": "circles",
    "mask": "masks",
    "rotation": "turned boxes",
    "oriented_rectangle": "turned boxes",
}
"""Shapes that are no boxes and have an area, in the plural."""

Points = list[tuple[float, float]]


def find(path: Path) -> list[Place]:
    """A LabelMe JSON file, or the folder that holds them."""
    if not os.path.isdir(path):
        return [Place("labelme", path, home_of(path))] if is_one(path) else []
    folders = [path, *(sub for sub in folders_in(path) if sub.name.lower() in LABEL_FOLDERS)]
    for folder in folders:
        files = _files(folder)
        if any(map(is_one, files[:LOOKED_AT])):
            return [Place("labelme", folder, home_of(files[0]))]
    return []


def is_one(path: Path) -> bool:
    """Whether a file is LabelMe's JSON."""
    found = json_outline.outline(path)
    return path.suffix.lower() == ".json" and found.keys.get("shapes") == "["


def _files(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() == ".json" and file.name[0] != "." and file.is_file()
    )


def labelme_shards(place: Place) -> Iterator[Shard]:
    """The JSON files of a folder, by name. Raises DataError when there are none."""
    folder = place.path if os.path.isdir(place.path) else place.path.parent
    files = _files(folder) if folder == place.path else [place.path]
    if not files:
        raise DataError(f"{folder}: there are no JSON files.")
    for part in chunks(files):
        states = hashlib.sha256(repr([state(file) for file in part]).encode()).hexdigest()
        names = tuple(file.name for file in part)
        yield Shard("labelme", folder, (names, place.home, place.split, states))


def read_labelme_shard(shard: Shard) -> Labels:
    """Reads the JSON files of a shard.

    A rectangle has two corners in any order, or four; around polygons, circles and masks the
    enclosing box is taken, and polygons of one class and group are one object, as in LabelMe's own
    conversion. Points and lines are left out. An image that is not there is read from `imageData`.

    Args:
        shard: one of `labelme_shards`.

    Returns:
        Its images and boxes.

    Raises:
        DataError: two files are of one image.

    """
    names, home, split, _ = shard.items
    found = Collected(Place("labelme", shard.path, home, split))
    for name in names:
        where = f"{shard.path.name}/{name}"
        try:
            path = inside(shard.path, name, str(shard.path))
            file = _read(path, where)
        except DataError as error:
            found.add_problem(unread(name, where, error))
            continue
        image = found.add(
            file.image,
            where,
            str(path),
            *file.size,
            near=path.parent if path.is_relative_to(home.resolve()) else None,
            inside_file=embedded_uri(path) if file.has_image else "",
            label_file=name,
        )
        for item in file.objects:
            image.add(item.label, item.corners, item.source, item.shape, difficult=item.difficult)
        for shape in file.left_out.elements():
            image.leave_out(shape)
    return found.labels()


@dataclass
class _Object:
    label: str
    corners: Corners
    source: str
    shape: str
    difficult: bool


@dataclass(frozen=True)
class _File:
    """What a JSON file says; `has_image` where the image is in it, `left_out` by kind of shape."""

    image: str
    size: tuple[int | None, int | None]
    has_image: bool
    objects: Sequence[_Object]
    left_out: Counter[str]


def _read(path: Path, where: str) -> _File:
    document = mapping(read_json(path, "LabelMe JSON", MAX_BYTES), "LabelMe JSON", str(path))
    shapes = listing(document.get("shapes"), "`shapes`", str(path))
    width, height = (
        size_of(document.get(name), name, str(path)) for name in ("imageWidth", "imageHeight")
    )
    return _File(
        text(document.get("imagePath"), "`imagePath`", str(path)),
        (width, height),
        bool(document.get("imageData")),
        *_objects(shapes, where, str(path)),
    )


def _objects(shapes: Sequence[Any], where: str, path: str) -> tuple[list[_Object], Counter[str]]:
    """The objects of a file, and how many shapes of which kinds are left out."""
    left_out: Counter[str] = Counter()
    objects: list[_Object] = []
    groups: dict[tuple[str, str], _Object] = {}
    for number, record in enumerate(shapes, start=1):
        place = f"{path}: shape {number}"
        shape = mapping(record, "a shape", place)
        kind = str(shape.get("shape_type") or "polygon")
        label = class_of(shape.get("label"), place)
        if kind != "rectangle" and kind not in _ENCLOSED:
            left_out[f"of kind {kind!r}"] += 1
            continue
        corners = _corners(kind, points_of(shape.get("points")))
        found = _Object(
            label,
            corners,
            f"{where} shape {number}",
            _ENCLOSED.get(kind, "box"),
            _difficult(shape, place),
        )
        group = shape.get("group_id")
        if kind == "rectangle" or group is None:
            objects.append(found)
            continue
        first = groups.setdefault((label, repr(group)), found)
        if first is found:
            objects.append(found)
        else:
            first.corners = around([*_opposite(first.corners), *_opposite(corners)])
            first.shape = "groups of polygons"
    return objects, left_out


def _corners(kind: str, points: Points) -> Corners:
    if kind != "circle":
        return around(points)
    if len(points) != 2:
        return NO_PLACE
    centre, edge = points
    radius = math.dist(centre, edge)
    return around_ellipse(centre, (radius, radius))


def _opposite(corners: Corners) -> Points:
    return [corners[:2], corners[2:]]


def _difficult(shape: Mapping[str, Any], where: str) -> bool:
    flags = shape.get("flags")
    inner = flags.get("difficult") if isinstance(flags, dict) else None
    return flag_of(shape.get("difficult", inner), "difficult", where)
