"""Pascal VOC: a folder of XML annotations with their images."""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lxml import etree

from classlift.data.image_files import Found, ImageFiles
from classlift.data.labels import (
    NO_PLACE,
    Corners,
    LabelledBox,
    LabelledImage,
    Labels,
    Shard,
    chunks,
    flag_of,
    number_of,
    size_of,
)
from classlift.data.places import SPLIT_WORDS, Place
from classlift.data.problems import ImageProblem
from classlift.errors import DataError
from classlift.paths import inside, state
from classlift.reading import MEGA, open_regular, read_bytes, read_text

ANNOTATIONS = ("Annotations", "annotations", "annots", "xml", "xmls")
IMAGE_SETS = Path("ImageSets", "Main")
"""The folder of the lists of splits, one name of an image without its suffix a line."""

IMAGES = ("JPEGImages", "images", "Images", ".")

_ONCE = {"name", "bndbox", "xmin", "ymin", "xmax", "ymax", "difficult"}
MAX_BYTES = 100 * MEGA
"""The most bytes of one XML file, which describes one image."""

Element = Any  # lxml brings no types


def find_annotations(folder: Path) -> Path | None:
    """The folder that holds the XML files, if this is a VOC folder: one in it, or itself."""
    for name in ANNOTATIONS:
        if (folder / name).is_dir() and any(map(_is_annotation, (folder / name).iterdir())):
            return folder / name
    if folder.is_dir() and any(map(_is_annotation, sorted(folder.iterdir()))):
        return folder
    return None


def find(path: Path) -> list[Place]:
    """A VOC folder."""
    return [Place("voc", path, path)] if os.path.isdir(path) and find_annotations(path) else []


def _is_xml(path: Path) -> bool:
    return path.suffix.lower() == ".xml"


def _is_annotation(path: Path) -> bool:
    """Whether a file is called XML, and does not begin as that of another tool."""
    if not _is_xml(path):
        return False
    if not path.is_file():
        return True  # its reader says what is wrong with it
    with open_regular(path, "an XML file of labels") as file:
        first = re.search(rb"<([A-Za-z][\w.-]*)", file.read(4096))
    return first is None or first[1] == b"annotation"


def _image_sets(folder: Path) -> dict[str, str]:
    """The published split of images, by their name without a suffix."""
    found: dict[str, str] = {}
    for path in sorted((folder / IMAGE_SETS).glob("*.txt")):
        split = SPLIT_WORDS.get(path.stem.lower())
        if split is None or path.stem.lower() == "trainval":
            continue  # lists of a class, and one that joins two
        for line in read_text(path, "a list of images", MAX_BYTES).splitlines():
            if line.strip():
                found.setdefault(Path(line.split()[0]).stem, split)
    return found


def voc_shards(place: Place) -> Iterator[Shard]:
    """The XML files of a VOC folder by name. Raises DataError when there are none."""
    folder = place.path
    annotations = find_annotations(folder)
    if annotations is None:
        raise DataError(f"{folder}: there is no folder of XML files ({' or '.join(ANNOTATIONS)}).")
    names = sorted(path.name for path in annotations.iterdir() if _is_xml(path))
    split_of = _image_sets(folder)
    for part in chunks(names):
        states = [state(annotations / name) for name in part]
        splits = tuple(split_of.get(Path(name).stem) for name in part)
        digest = hashlib.sha256(repr(states).encode()).hexdigest()
        yield Shard("voc", folder, (part, splits, digest))


def read_voc_shard(shard: Shard) -> Labels:
    """Reads the XML files of a shard.

    Coordinates are taken as they stand, as the OD API's own converter does, though the first
    pixel of the original VOC is 1. Document types and entities are refused.

    Args:
        shard: one of `voc_shards`.

    Returns:
        Its images and boxes.

    Raises:
        DataError: XML can't be read, an image is not there or lies elsewhere, or a flag is neither
            0 nor 1; names file and object.

    """
    folder = shard.path
    annotations = find_annotations(folder) or folder
    places = [folder / place for place in IMAGES if (folder / place).is_dir()]
    images: list[LabelledImage] = []
    boxes: list[LabelledBox] = []
    remarks: list[ImageProblem] = []
    files = ImageFiles(folder)
    names, splits, _ = shard.items
    # Entities are not expanded, nothing is fetched; libxml2 bounds depth and size by itself.
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    for file_name, split in zip(names, splits, strict=True):
        path = str(inside(annotations, file_name, str(folder)))
        root = _parse(path, parser)
        parts = _children(root)
        name = _text(parts.get("filename"))
        if not name:
            raise DataError(f"{path} names no image file.")
        where = f"{folder.name}/{file_name}"
        size = _children(parts.get("size", ()))
        width, height = (size_of(_text(size.get(s)), s, path) for s in ("width", "height"))
        image = _find_image(places, files, name, path)
        remarks += image.remark(name, name, where)
        images.append(LabelledImage(name, str(image.path), width, height, where, split=split))
        for number, found in enumerate(filter(_is_object, root.iter()), start=1):
            boxes.append(_box(found, name, f"{where} object {number}", path))
    return Labels(images, boxes, remarks)


def _parse(path: str, parser: Any) -> Element:
    try:
        root = etree.fromstring(read_bytes(path, "an XML file of labels", MAX_BYTES), parser)
    except etree.XMLSyntaxError as error:
        raise DataError(f"{path}: not valid XML ({' '.join(str(error).split())}).") from error
    if root.getroottree().docinfo.doctype:
        raise DataError(f"{path}: the XML defines a document type or entities, which are not read.")
    return root


def _tag(element: Element) -> str:
    """The tag in small letters: tools write `Difficult` too. Empty for a comment."""
    return element.tag.lower() if isinstance(element.tag, str) else ""


def _is_object(element: Element) -> bool:
    return _tag(element) == "object"


def _children(element: Any) -> dict[str, Element]:
    """The children by tag; of several, the first."""
    return {_tag(child): child for child in reversed(element)}


def _parts(element: Any, where: str, path: str) -> dict[str, Element]:
    """The children of an object or of its box.

    Returns:
        The children by tag.

    Raises:
        DataError: one repeats that an object has once, or text stands between them: two objects
            were cut and glued, and the second would be lost without a word.

    """
    seen: set[str] = set()
    for child in element:
        tag = _tag(child)
        if (tag in _ONCE and tag in seen) or (child.tail or "").strip():
            raise DataError(f"{path}: {where} has more than one {tag}, or text after it.")
        seen.add(tag)
    return _children(element)


def _text(element: Element | None) -> str:
    return "" if element is None else (element.text or "").strip()


def _find_image(places: list[Path], files: ImageFiles, name: str, path: str) -> Found:
    """The image in one of the places, or the one that can be meant; a name may lack its suffix."""
    for place in places:
        image = inside(place, name, path)
        if os.path.isfile(image):
            return Found(image)
    found = files.find(name, path)
    if not os.path.isfile(found.path) and not Path(name).suffix:
        found = files.find_stem(name, path) or found
    if os.path.isfile(found.path):
        return found
    shown = ", ".join(map(str, places))
    raise DataError(f"{path}: its image {name!r} is in none of {shown}.")


def _box(found: Element, name: str, where: str, path: str) -> LabelledBox:
    parts = _parts(found, where, path)
    return LabelledBox(
        file_name=name,
        label=_text(parts.get("name")),
        box=_corners(_parts(parts.get("bndbox", ()), where, path)),
        source=where,
        difficult=flag_of(_text(parts.get("difficult")), "difficult", path, where),
    )


def _corners(sides: dict[str, Element]) -> Corners:
    try:
        xmin, ymin, xmax, ymax = (
            number_of(_text(sides.get(side))) for side in ("xmin", "ymin", "xmax", "ymax")
        )
    except ValueError:
        return NO_PLACE
    return xmin, ymin, xmax, ymax
