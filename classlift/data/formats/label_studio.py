"""Label Studio: its JSON export (tasks with annotations), and JSON_MIN (a row an annotation)."""

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from classlift.data import json_outline
from classlift.data.formats.collected import (
    NOT_LABELLED,
    Collected,
    CollectedImage,
    class_of,
    find_files,
    listing,
    mapping,
    points_of,
    side,
)
from classlift.data.image_files import Found
from classlift.data.images import IMAGE_SUFFIXES
from classlift.data.labels import Corners, Shard, size_of
from classlift.data.places import Place
from classlift.data.shapes import around, around_ellipse, around_turned
from classlift.errors import DataError
from classlift.reading import GIGA, read_json
from classlift.text import shorten

MAX_BYTES = 2 * GIGA
"""The most bytes of a JSON file, which is in memory at once."""

SEVERAL = "an image has one annotation; of several, the newest counts, or the ground truth"
MANY_CLASSES = "a region has one class; of several, the first counts"
TURNED_VIEW = "annotations are for the image as it is stored; turn the image, not its view"

_NOTES = {"choices", "text", "rating", "number", "taxonomy", "datetime", "selected", "ranker"}
"""What the value of a result may have that is no shape, as on the image as a whole."""

_KINDS = {"rectangle", "polygon", "ellipse", "brush", "keypoint", "vector"}
"""Types of results that are a shape; those with a class end in `labels`."""

_LISTS = {"points", "vertices", "rle"}
_UPLOAD = re.compile(r"^[0-9a-f]{8}-")  # what Label Studio puts before the name of an upload


@dataclass(frozen=True)
class _Task:
    """One task: its image as the task names it, its annotations, and where it stands.

    is_predicted: whether a model said something of it.
    """

    image: str
    annotations: Sequence[Mapping[str, Any]]
    where: str
    is_predicted: bool = False


def find(path: Path) -> list[Place]:
    """Label Studio's JSON files at a path."""
    return find_files("label_studio", path, is_one)


def is_one(path: Path) -> bool:
    """Whether a file is Label Studio's JSON."""
    found = json_outline.outline(path)
    tasks = bool({"annotations", "completions"} & found.inner)
    tasks = tasks and not {"image", "imagefilename"} & found.inner  # CreateML's
    rows = bool({"annotation_id", "annotator", "lead_time"} & found.inner)
    return path.suffix.lower() == ".json" and found.kind == "[" and (tasks or rows)


def label_studio_shards(place: Place) -> Iterator[Shard]:
    """Reads a Label Studio export whole.

    Coordinates are percent of the image. A rectangle is turned around its upper left corner; around
    it, polygons and ellipses the enclosing box is taken; key points and brushes are left out. A
    task whose annotations were all skipped, or that has none, is not labelled and left out.

    Args:
        place: of the file.

    Yields:
        Shards that hold their labels.

    Raises:
        DataError: it is no such export; names file and task.

    """
    path, found = place.path, Collected(place)
    document = listing(read_json(path, "Label Studio JSON", MAX_BYTES), "the export", str(path))
    records = [mapping(r, "a task", f"{path}: task {n}") for n, r in enumerate(document)]
    tasks = _tasks if any("data" in record for record in records) else _rows
    for task in tasks(records, path):
        source = f"{path.parent.name}/{path.name} {task.where}"
        at = f"{path}: {task.where}"
        finished = [a for a in task.annotations if not (a.get("was_cancelled") or a.get("skipped"))]
        if not finished:
            why = "it has predictions alone" if task.is_predicted else "it has no annotation"
            why = "its annotation was skipped" if task.annotations else why
            problem = f"{NOT_LABELLED}: {why} ({shorten(task.image, 200)})"
            found.remark(task.image, source, problem, "warning")
            continue
        truths = [annotation for annotation in finished if annotation.get("ground_truth")]
        kept = max(truths or finished, key=_age)
        result = [
            mapping(item, "a result", at) for item in listing(kept.get("result"), "`result`", at)
        ]
        width, height = _size(result, at)
        file = _file(found, task.image, at)
        image = found.add(task.image, source, at, width, height, found=file)
        _add_regions(image, result, source, at)
        turns = {str(turn) for item in result if (turn := item.get("image_rotation"))}
        if turns:
            degrees = min(turns)
            image.say(f"{TURNED_VIEW}: it is turned by {degrees} degrees", "critical")
        if len(finished) > 1:
            image.say(f"{SEVERAL}: there are {len(finished)}", "warning")
    yield from found.shards()


def _tasks(records: Sequence[Mapping[str, Any]], path: Path) -> Iterator[_Task]:
    """The tasks of a JSON export; `completions` are the annotations of early versions."""
    for number, record in enumerate(records):
        where = f"task {record.get('id', number)}"
        place = f"{path}: {where}"
        annotations = record.get("annotations", record.get("completions", []))
        yield _Task(
            _image_of(mapping(record.get("data"), "`data`", place), place),
            [
                mapping(item, "an annotation", place)
                for item in listing(annotations, "`annotations`", place)
            ],
            where,
            is_predicted=bool(record.get("predictions")),
        )


def _rows(records: Sequence[Mapping[str, Any]], path: Path) -> Iterator[_Task]:
    """The tasks of JSON_MIN, where each annotation is a row with its regions by control tag."""
    by_task: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    images: dict[str, str] = {}
    for number, record in enumerate(records):
        where = f"task {record.get('id', number)}"
        images[where] = _image_of(record, f"{path}: {where}")
        regions = [
            {"value": item, "id": f"{key} {place}", **item}
            for key, value in record.items()
            if isinstance(value, list)
            for place, item in enumerate(value)
            if isinstance(item, dict)
        ]
        by_task[where].append({**record, "result": regions})
    for where, annotations in by_task.items():
        yield _Task(images[where], annotations, where)


def _image_of(data: Mapping[str, Any], where: str) -> str:
    """The image that a task is about."""
    named = {
        key: value
        for key, value in data.items()
        if isinstance(value, str) and Path(_plain(value)).suffix.lower() in IMAGE_SUFFIXES
    }
    if not named:  # a URL without a suffix
        named = {k: v for k, v in data.items() if isinstance(v, str) and k.lower().startswith("im")}
    if len(named) > 1 and "image" in named:
        return named["image"]
    if len(named) != 1:
        many = ", ".join(map(repr, sorted(named))) or "none"
        raise DataError(f"{where} must name one image in its data, and names {many}.")
    return next(iter(named.values()))


def _plain(name: str) -> str:
    """The path in a URL: of `/data/local-files/?d=a/b.jpg`, what follows `d=`."""
    try:
        parts = urlsplit(name)
    except ValueError:
        return name
    local = parse_qs(parts.query).get("d")
    return local[0] if local else parts.path if parts.scheme else name


def _file(found: Collected, name: str, where: str) -> Found:
    """The image's file: uploads have eight digits before the name that the file had."""
    plain = _plain(name)
    file = found.files.find(plain, where)
    folder, _, last = plain.rpartition("/")
    if not os.path.isfile(file.path) and _UPLOAD.match(last):
        file = found.files.find(f"{folder}/{_UPLOAD.sub('', last)}", where)
    return Found(file.path, file.path.name != last)  # folders are those of a server


def _age(annotation: Mapping[str, Any]) -> str:
    return str(annotation.get("updated_at") or annotation.get("created_at") or "")


def _size(result: Sequence[Mapping[str, Any]], where: str) -> tuple[int | None, int | None]:
    """The image's size as its regions have it."""
    for item in result:
        width, height = (
            size_of(item.get(f"original_{name}"), f"original_{name}", where)
            for name in ("width", "height")
        )
        if width and height:
            return width, height
    return None, None


def _add_regions(
    image: CollectedImage, result: Sequence[Mapping[str, Any]], source: str, where: str
) -> None:
    """Results with one id are one region: its shape and, in others, its class."""
    regions: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    kinds: dict[str, set[str]] = defaultdict(set)
    seen: set[tuple[str, str, str]] = set()
    for number, item in enumerate(result):
        if item.get("type") != "relation":
            value = mapping(item.get("value"), "`value`", where)
            region = str(item.get("id", number))
            said = (region, str(item.get("from_name")), str(item.get("type")))
            if said in seen and set(value) - _NOTES:
                raise DataError(f"{where}: two regions have the id {shorten(region, 40)!r}.")
            seen.add(said)
            kinds[region].add(said[-1])
            regions[region].append(value)
    extent = image.size()
    for name, values in regions.items():
        shapes = [value for value in values if set(value) - _NOTES]
        if not shapes:
            if any(kind.endswith("labels") or kind in _KINDS for kind in kinds[name]):
                image.leave_out("regions without a shape")
            continue
        shaped = shapes[0]
        if any(_contradict(value, shaped) for value in shapes):
            raise DataError(f"{where}: two regions have the id {shorten(name, 40)!r}.")
        place = f"{source} region {shorten(name, 40)}"
        classes = _classes(values, f"{where}: region {shorten(name, 40)}")
        if "radiusX" in shaped:
            image.add(classes[0], _ellipse(shaped, extent), place, "ellipses")
        elif "points" in shaped or "vertices" in shaped:
            points = points_of(shaped.get("points"))
            corners = around((x * extent[0] / 100, y * extent[1] / 100) for x, y in points)
            image.add(classes[0], corners, place, "polygons")
        elif "height" in shaped or "rotation" in shaped:
            shape = "turned boxes" if shaped.get("rotation") else "box"
            image.add(classes[0], _rectangle(shaped, extent), place, shape)
        else:
            image.leave_out("brushes" if "rle" in shaped else "key points or the like")
        if len(classes) > 1:
            image.say(f"{MANY_CLASSES}: {', '.join(map(repr, classes))}", "warning")


def _contradict(value: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two results of one region are shapes in different places."""
    return any(
        value[key] != other[key]
        for key in set(value) & set(other) - _NOTES
        if key in _LISTS or not isinstance(value[key], list)
    )


def _classes(values: Sequence[Mapping[str, Any]], where: str) -> list[str]:
    """The classes of a region: its labels, else what was chosen for it; "" of none."""
    for ending in ("labels", "choices"):  # "rectanglelabels", "labels", and so on
        for value in values:
            for key, found in value.items():
                if key.endswith(ending) and isinstance(found, list) and found:
                    return [class_of(name, where) for name in found]
    return [""]


def _rectangle(value: Mapping[str, Any], extent: tuple[int, int]) -> Corners:
    x, y, width, height = (side(value.get(name)) for name in ("x", "y", "width", "height"))
    left, top = x * extent[0] / 100, y * extent[1] / 100
    corners = left, top, left + width * extent[0] / 100, top + height * extent[1] / 100
    degrees = side(value.get("rotation", 0))
    return around_turned(corners, degrees, (left, top)) if degrees else corners


def _ellipse(value: Mapping[str, Any], extent: tuple[int, int]) -> Corners:
    names = ("x", "y", "radiusX", "radiusY")
    x, y, rx, ry = (side(value.get(name)) / 100 for name in names)
    return around_ellipse(
        (x * extent[0], y * extent[1]),
        (rx * extent[0], ry * extent[1]),
        side(value.get("rotation", 0)),
    )
