"""VIA, the VGG Image Annotator: JSON of versions 1, 2 and 3, and the CSV of all of them."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from classlift.data import json_outline
from classlift.data.formats.collected import (
    Collected,
    CollectedImage,
    class_of,
    find_files,
    listing,
    mapping,
    side,
    text,
)
from classlift.data.formats.csv_rows import header_of, read_table
from classlift.data.labels import NO_PLACE, Corners, Shard, nameless
from classlift.data.places import Place
from classlift.data.shapes import around, around_ellipse
from classlift.errors import DataError
from classlift.reading import GIGA, open_regular, parse_json, read_json, read_text

MAX_BYTES = GIGA
"""The most bytes of a file, which is in memory at once."""

CSV_COLUMNS = ("filename", "region_shape_attributes", "region_attributes")
"""Columns of the CSV of versions 1 and 2; version 1 writes `#filename`."""

CSV_3 = "# CSV_HEADER = "
"""What the line with the columns begins with in version 3."""

CLASS_NAMES = ("class", "label", "name", "category", "type", "object", "class_name")
"""Attributes that may be the class where a region has several, the likeliest first."""

CHOSEN = "a region has one attribute, its class; of several, the likeliest is taken"

UNDEFINED = "undefined"
"""What VIA writes as the class of a region for which nobody chose one."""

_SHAPES_3 = {
    1: "points",
    2: "box",
    3: "circles",
    4: "ellipses",
    5: "lines",
    6: "lines",
    7: "polygons",
    8: "box",
    9: "circles",
}


class _Unclear(str):
    """What a region has instead of one class: several, or one that is in no list."""


@dataclass
class _Region:
    """A region: its shape as the kinds that `_corners` knows, its attributes, where it stands."""

    shape: str
    numbers: Mapping[str, Any]
    attributes: Mapping[str, Any]
    source: str


@dataclass
class _Image:
    name: str
    source: str
    regions: list[_Region] = field(default_factory=list)


def find(path: Path) -> list[Place]:
    """VIA's JSON and CSV files at a path."""
    return find_files("via", path, is_one)


def is_one(path: Path) -> bool:
    """Whether a file is VIA's JSON or CSV."""
    if path.suffix.lower() == ".csv":
        columns = {name.lstrip("#") for name in header_of(path)}
        return set(CSV_COLUMNS) <= columns or _is_csv_3(path)
    found = json_outline.outline(path)
    return (
        path.suffix.lower() == ".json"
        and found.kind == "{"
        and (
            any(key.startswith("_via_") for key in found.keys)
            or {"attribute", "file"} <= set(found.keys)
            or {"filename", "regions"} <= found.inner
        )
    )


def _is_csv_3(path: Path) -> bool:
    try:
        with open_regular(path, "a CSV file") as file:
            return CSV_3.encode() in file.read(100_000)
    except DataError:
        return False


def via_shards(place: Place) -> Iterator[Shard]:
    """Reads what VIA wrote whole: a project, exported annotations, or CSV.

    The class of a region is its attribute; of several, the one that is called like a class. Around
    circles, ellipses and polygons the enclosing box is taken; points and lines are left out.

    Args:
        place: of the file.

    Yields:
        Shards that hold their labels.

    Raises:
        DataError: it is no such file, or none of several attributes can be told to be the class;
            names file and region.

    """
    path, found = place.path, Collected(place)
    if path.suffix.lower() == ".csv":
        images = _from_csv(path)
    else:
        document = mapping(read_json(path, "VIA JSON", MAX_BYTES), "VIA JSON", str(path))
        images = (
            _from_version_3(document, path) if "metadata" in document else _from(document, path)
        )
    chosen, others = _class_attribute(images, path)
    for record in images:
        image = found.add(record.name, record.source, str(path))
        for region in record.regions:
            label, source = _class(region.attributes.get(chosen), region.source, str(path))
            _add(image, region, label, source)
        if others and record.regions:
            image.say(f"{CHOSEN}: {chosen!r} and not {', '.join(map(repr, others))}")
    yield from found.shards()


def _add(image: CollectedImage, region: _Region, label: str, source: str) -> None:
    corners = _corners(region.shape, region.numbers)
    if corners is None:
        image.leave_out(f"of kind {region.shape!r}")
    else:
        shape = {"rect": "box", "polygon": "polygons"}.get(region.shape, f"{region.shape}s")
        image.add(label, corners, source, shape)


def _corners(shape: str, numbers: Mapping[str, Any]) -> Corners | None:
    """The box around a shape of version 2; None of one without an area."""

    def get(*names: str) -> list[float]:
        return [side(numbers.get(name)) for name in names]

    if shape == "rect":
        x, y, width, height = get("x", "y", "width", "height")
        return x, y, x + width, y + height
    if shape == "circle":
        x, y, radius = get("cx", "cy", "r")
        return around_ellipse((x, y), (radius, radius))
    if shape == "ellipse":
        x, y, rx, ry = get("cx", "cy", "rx", "ry")
        theta = side(numbers.get("theta", 0.0))  # in radians
        return around_ellipse((x, y), (rx, ry), theta * 57.29577951308232)
    if shape == "polygon":
        xs, ys = numbers.get("all_points_x"), numbers.get("all_points_y")
        if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
            return NO_PLACE
        return around((side(x), side(y)) for x, y in zip(xs, ys, strict=True))
    return None


def _from(document: Mapping[str, Any], path: Path) -> list[_Image]:
    """The images of a project of version 2, or of exported annotations of versions 1 and 2."""
    entries = mapping(document.get("_via_img_metadata", document), "VIA JSON", str(path))
    images = []
    for key, record in entries.items():
        place = f"{path}: {key}"
        entry = mapping(record, "an image", place)
        source = f"{path.parent.name}/{path.name} {key}"
        image = _Image(text(entry.get("filename"), "`filename`", place), source)
        regions = entry.get("regions")
        if isinstance(regions, dict):  # version 1
            regions = list(regions.values())
        for number, item in enumerate(listing(regions, "`regions`", place)):
            region = mapping(item, "a region", place)
            shape = mapping(region.get("shape_attributes"), "`shape_attributes`", place)
            attributes = mapping(region.get("region_attributes", {}), "`region_attributes`", place)
            kind = str(shape.get("name"))
            image.regions.append(_Region(kind, shape, attributes, f"{source} region {number}"))
        images.append(image)
    return images


def _from_csv(path: Path) -> list[_Image]:
    if _is_csv_3(path):
        return _from_csv_3(path)
    table = read_table(path)
    images: dict[str, _Image] = {}
    for line, fields in table.rows:
        row = {name.lstrip("#"): value for name, value in fields.items()}
        place = f"{path}: line {line}"
        source = f"{path.parent.name}/{path.name} line {line}"
        missing = [name for name in CSV_COLUMNS if name not in row]
        if missing:
            raise DataError(f"{path}: the column {missing[0]!r} of VIA is missing.")
        name = text(row["filename"], "`filename`", place)
        image = images.setdefault(name, _Image(name, source))
        shape, attributes = (_cell(row[column], column, place) for column in CSV_COLUMNS[1:])
        if shape is None:  # a box without a place, which the validator names
            image.regions.append(_Region("rect", {}, attributes or {}, source))
        elif shape:
            image.regions.append(_Region(str(shape.get("name")), shape, attributes or {}, source))
    return list(images.values())


def _cell(value: str, column: str, place: str) -> Mapping[str, Any] | None:
    """The JSON in a cell; None where it is none, such as `{"class":undefined}`."""
    try:
        return mapping(parse_json(value or "{}", place), column, place)
    except DataError:
        return None


def _from_version_3(document: Mapping[str, Any], path: Path) -> list[_Image]:
    """The images of a project of version 3."""
    where = str(path)
    files = mapping(document.get("file"), "`file`", where)
    views = mapping(document.get("view"), "`view`", where)
    attributes = mapping(document.get("attribute", {}), "`attribute`", where)
    names = {}
    for number, record in files.items():
        entry = mapping(record, "a file", f"{path}: file {number}")
        names[number] = text(
            entry.get("fname") or entry.get("src"), "`fname`", f"{path}: file {number}"
        )
    images: dict[str, _Image] = {}
    for number, record in views.items():
        place = f"{path}: view {number}"
        found = listing(mapping(record, "a view", place).get("fid_list"), "`fid_list`", place)
        name = names.get(str(found[0])) if len(found) == 1 else None
        if name is None:
            raise DataError(f"{place} must show one of its files.")
        images[number] = _Image(name, f"{path.parent.name}/{path.name} view {number}")
    for number, record in mapping(document.get("metadata"), "`metadata`", where).items():
        place = f"{path}: metadata {number}"
        entry = mapping(record, "a region", place)
        image = images.get(str(entry.get("vid")))
        if image is None:
            raise DataError(f"{place} is of the view {entry.get('vid')!r}, which is not there.")
        source = f"{path.parent.name}/{path.name} metadata {number}"
        values = mapping(entry.get("av", {}), "`av`", place)
        image.regions += _region_3(entry.get("xy"), values, attributes, source, place)
    return list(images.values())


def _from_csv_3(path: Path) -> list[_Image]:
    lines = read_text(path, "VIA CSV", MAX_BYTES).splitlines()
    header = next(line for line in lines if line.startswith(CSV_3)).removeprefix(CSV_3).split(",")
    written = [line for line in lines if line.startswith("# ATTRIBUTE = ")]
    attributes: Mapping[str, Any] = {}
    if written:
        text_of_them = written[0].partition(" = ")[2]
        attributes = mapping(parse_json(text_of_them, str(path)), "ATTRIBUTE", str(path))
    rows = [line for line in lines if line.strip() and not line.startswith("#")]
    images: dict[str, _Image] = {}
    try:
        table = list(csv.reader(io.StringIO("\n".join(rows)), strict=True))
    except csv.Error as error:
        raise DataError(f"{path}: not the CSV of VIA ({error}).") from None
    for number, fields in enumerate(table, start=1):
        place = f"{path}: row {number}"
        if len(fields) != len(header):
            raise DataError(
                f"{place} has {len(fields)} fields, and {len(header)} columns are named."
            )
        row = dict(zip(header, fields, strict=True))
        try:
            names, xy, values = (
                parse_json(row[column] or "null", place)
                for column in ("file_list", "spatial_coordinates", "metadata")
            )
        except KeyError as error:
            raise DataError(f"{path}: the column {error} of VIA is missing.") from None
        listed = listing(names, "file_list", place)
        name = text(listed[0] if len(listed) == 1 else None, "the one file of a row", place)
        source = f"{path.parent.name}/{path.name} row {number}"
        image = images.setdefault(name, _Image(name, source))
        image.regions += _region_3(
            xy, mapping(values or {}, "metadata", place), attributes, source, place
        )
    return list(images.values())


def _region_3(
    xy: Any, values: Mapping[str, Any], attributes: Mapping[str, Any], source: str, place: str
) -> Iterator[_Region]:
    """The region of version 3, [shape, numbers]; nothing of what is on the whole image."""
    numbers = listing(xy, "the coordinates", place)
    if not numbers:
        return
    shape = _SHAPES_3.get(numbers[0] if isinstance(numbers[0], int) else 0, "unknown")
    rest = list(numbers[1:])
    named = {}
    for key, value in values.items():
        about = attributes.get(key)
        about = about if isinstance(about, dict) else {}
        options = about.get("options")
        options = options if isinstance(options, dict) else {}
        named[str(about.get("aname", key))] = _chosen(value, options)
    if shape == "box":
        yield _Region(
            "rect", dict(zip(("x", "y", "width", "height"), rest, strict=False)), named, source
        )
    elif shape == "circles":
        yield _Region("circle", dict(zip(("cx", "cy", "r"), rest, strict=False)), named, source)
    elif shape == "ellipses":
        yield _Region(
            "ellipse", dict(zip(("cx", "cy", "rx", "ry"), rest, strict=False)), named, source
        )
    elif shape == "polygons":
        both = {"all_points_x": rest[::2], "all_points_y": rest[1::2]}
        yield _Region("polygon", both, named, source)
    else:
        yield _Region(shape.removesuffix("s"), {}, named, source)


def _chosen(value: Any, options: Mapping[str, Any]) -> Any:
    """What an attribute of version 3 says by the keys of its options; as it stands without any."""
    if not options or not value or value in options.values():  # other tools write the name
        return value
    keys = str(value).split(",")  # of check boxes, those that are checked
    if len(keys) == 1 and keys[0] in options:
        return options[keys[0]]
    return _Unclear(" and ".join(repr(str(options.get(key, key))) for key in keys))


def _class_attribute(images: Sequence[_Image], path: Path) -> tuple[str, list[str]]:
    """The attribute that is the class, and the others."""
    counts = Counter(
        name
        for image in images
        for region in image.regions
        for name, value in region.attributes.items()
        if value not in ("", None, {})
    )
    names = sorted(counts, key=lambda name: -counts[name])
    # One that few regions have was tried, or mistyped.
    often = [name for name in names if 2 * counts[name] >= counts[names[0]]]
    if len(often) < 2:
        return (names[0] if names else ""), names[1:]
    for wanted in CLASS_NAMES:
        called = [name for name in often if name.strip().lower() == wanted]
        if len(called) == 1:
            return called[0], [name for name in names if name != called[0]]
    raise DataError(
        f"{path}: its regions have the attributes {', '.join(map(repr, names[:10]))}; call the one "
        "that is the class `class`."
    )


def _class(value: Any, source: str, path: str) -> tuple[str, str]:
    """The class in an attribute's value, a text or the one box that is checked; and the source."""
    if isinstance(value, dict):
        checked = [name for name, is_checked in value.items() if is_checked in (True, "true", 1)]
        value = checked[0] if len(checked) == 1 else _Unclear(" and ".join(map(repr, checked)))
    if isinstance(value, _Unclear):
        return nameless(source, value) if value else ("", source)
    label = class_of(value, f"{path}: {source}")
    return nameless(source, label) if label == UNDEFINED else (label, source)
