"""CVAT XML 1.1: "CVAT for images" with an element an image, "CVAT for video" with tracks."""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from lxml import etree

from classlift.data.formats.collected import Collected, CollectedImage, find_files, side
from classlift.data.image_files import Found
from classlift.data.labels import NO_PLACE, Corners, Rounding, Shard, flag_of, size_of
from classlift.data.places import Place, split_of
from classlift.data.shapes import around, around_ellipse, around_turned
from classlift.data.unusable import absent
from classlift.data.xml_files import Element, parse_xml
from classlift.errors import DataError
from classlift.reading import GIGA, open_regular

MAX_BYTES = GIGA
"""The most bytes of an XML file, which is in memory at once."""

ROUNDING = Rounding(pixels=0.01)
"""Two decimals of a side."""

_ELEMENTS = {"version", "meta", "image", "track"}
_SHAPES = ("box", "polygon", "ellipse", "mask", "polyline", "points", "cuboid", "skeleton")
_NO_SHAPES = {"tag", "attribute"}
_BOXED = {None, "any", "rectangle", "polygon", "ellipse", "mask"}
"""The types of labels of which boxes are made; earlier versions of CVAT name none."""
_SIDES = ("xtl", "ytl", "xbr", "ybr")


def find(path: Path) -> list[Place]:
    """CVAT's XML files at a path."""
    return find_files("cvat", path, is_one)


def is_one(path: Path) -> bool:
    """Whether a file is XML that begins as CVAT's."""
    if path.suffix.lower() != ".xml":
        return False
    try:
        with open_regular(path, "CVAT's XML") as file:
            for _, element in etree.iterparse(
                file, events=("start",), resolve_entities=False, no_network=True, load_dtd=False
            ):
                return bool(element.tag == "annotations")
    except (etree.XMLSyntaxError, DataError, OSError):
        pass
    return False


def cvat_shards(place: Place) -> Iterator[Shard]:
    """Reads CVAT's XML whole.

    Around turned boxes, polygons, ellipses and masks the enclosing box is taken; points, lines,
    skeletons and cuboids are left out, and so is what is `outside`. Frames of a video are the files
    `frame_000000` and so on; those without a shape have no objects. The subsets of a project are
    published splits where they are called so. An attribute `difficult` that is ticked is that flag.

    Args:
        place: of the file.

    Yields:
        Shards that hold their labels.

    Raises:
        DataError: the XML is no such thing; names file and image.

    """
    path, found = place.path, Collected(place)
    root = _parse(path)
    _require_in_place(root, path)
    for element in root.iterchildren("*"):
        if element.tag not in _ELEMENTS or (element.tail or "").strip():
            raise DataError(f"{path}: <{element.tag}> is no element of CVAT's, or text follows it.")
        if element.tag == "image":
            _add_image(found, element, path)
    tracks = list(root.iterchildren("track"))
    if tracks or "interpolation" in {mode.text for mode in root.iter("mode")}:
        _add_tracks(found, tracks, root, path)
    yield from found.shards()


def classes_of(place: Place) -> list[str]:
    """The labels of the task or project in their order, of which boxes are made."""
    labels = _parse(place.path).iterfind("meta//labels/label")
    return [label.findtext("name", "") for label in labels if label.findtext("type") in _BOXED]


def _require_in_place(root: Element, path: Path) -> None:
    """Raises DataError for an image or a shape where none is looked for: it would be lost."""
    for element in root.iter("image", "track", *_SHAPES):
        above = element.getparent()
        known = ("annotations",) if element.tag in _ELEMENTS else ("image", "track", "skeleton")
        if above is None or above.tag not in known:
            raise DataError(
                f"{path}: line {element.sourceline} has <{element.tag}> where CVAT has none."
            )


def _parse(path: Path) -> Element:
    root = parse_xml(path, "CVAT's XML", MAX_BYTES)
    if root.tag != "annotations":
        raise DataError(f"{path}: not CVAT's XML: the first element is {root.tag!r}.")
    return root


def _add_image(found: Collected, element: Element, path: Path) -> None:
    number, name = element.get("id", "?"), element.get("name")
    source = f"{path.parent.name}/{path.name} image {number}"
    place = f"{path}: image {number}"
    if not name:
        raise DataError(f"{place} has no name.")
    width, height = (size_of(element.get(what), what, place) for what in ("width", "height"))
    subset = element.get("subset")
    if subset:  # in a project, each subset has its own folder
        name = f"{subset}/{name}"
    split = split_of(subset or "")
    image = found.add(name, source, place, width, height, split=split)
    for count, shape in enumerate(_shapes(element, place), start=1):
        _add_shape(image, shape, shape.get("label"), f"{source} shape {count}", place)


def _shapes(element: Element, place: str) -> Iterator[Element]:
    for child in element.iterchildren("*"):
        if (child.tail or "").strip():
            raise DataError(f"{place}: text stands after a <{child.tag}>; is the file damaged?")
        if child.tag not in _NO_SHAPES:
            yield child


def _add_tracks(found: Collected, tracks: Sequence[Element], root: Element, path: Path) -> None:
    size = next(root.iter("original_size"), None)
    width, height = (
        None if size is None else size_of(size.findtext(what), what, str(path))
        for what in ("width", "height")
    )
    frames: dict[int, CollectedImage] = {}

    def frame(number: int, file: Found) -> CollectedImage:
        if number not in frames:
            source = f"{path.parent.name}/{path.name} frame {number}"
            name = f"frame_{number:06d}"
            frames[number] = found.add(name, source, str(path), width, height, found=file)
        return frames[number]

    for name in found.files.paths:  # an exported frame without a shape has no objects
        match = re.fullmatch(r"frame_(\d{6,})", Path(name).stem)
        if match:
            frame(int(match[1]), Found(found.files.find(name, str(path)).path))
    gone: set[int] = set()
    for track in tracks:
        number = track.get("id", "?")
        place = f"{path}: track {number}"
        for shape in _shapes(track, place):
            try:
                index = int(shape.get("frame", ""))
            except ValueError:
                raise DataError(
                    f"{place} has a {shape.tag} without the number of its frame."
                ) from None
            if index not in frames:
                gone.add(index)
                continue
            source = f"{path.parent.name}/{path.name} track {number} frame {index}"
            _add_shape(frames[index], shape, track.get("label"), source, place)
    for index in sorted(gone):
        name = f"frame_{index:06d}"
        reason = f"no file below {found.files.folder} is called so; export with images"
        found.add_problem(absent(name, f"{path.parent.name}/{path.name} frame {index}", reason))


def _add_shape(
    image: CollectedImage, shape: Element, label: str | None, source: str, place: str
) -> None:
    if flag_of(shape.get("outside"), "outside", place):
        return
    degrees = side(shape.get("rotation", "0"))
    add = partial(image.add, difficult=_is_difficult(shape))
    if shape.tag == "box":
        xmin, ymin, xmax, ymax = (side(shape.get(name)) for name in _SIDES)
        corners: Corners = (xmin, ymin, xmax, ymax)
        if degrees:
            add(label or "", around_turned(corners, degrees), source, "turned boxes")
        else:
            add(label or "", corners, source)
    elif shape.tag == "polygon":
        add(label or "", _around(shape.get("points", "")), source, "polygons")
    elif shape.tag == "ellipse":
        x, y, rx, ry = (side(shape.get(name)) for name in ("cx", "cy", "rx", "ry"))
        add(label or "", around_ellipse((x, y), (rx, ry), degrees), source, "ellipses")
    elif shape.tag == "mask":
        left, top, width, height = (
            side(shape.get(name)) for name in ("left", "top", "width", "height")
        )
        add(label or "", (left, top, left + width, top + height), source, "masks")
    else:
        image.leave_out(f"of kind {shape.tag!r}")


def _is_difficult(shape: Element) -> bool:
    """Whether a shape has the attribute, a box to tick, as CVAT makes it of Pascal VOC's flag."""
    return any(
        attribute.get("name", "").lower() == "difficult" and attribute.text == "true"
        for attribute in shape.iterchildren("attribute")
    )


def _around(points: str) -> Corners:
    """The box around points as `x,y;x,y`."""
    pairs = [point.split(",") for point in points.split(";")]
    if any(len(pair) != 2 for pair in pairs):
        return NO_PLACE
    return around((side(x), side(y)) for x, y in pairs)
