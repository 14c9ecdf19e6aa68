"""Pascal VOC: a folder of XML annotations with their images."""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from classlift.data.image_files import Found, ImageFiles
from classlift.data.images import IMAGE_SUFFIXES
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
from classlift.data.places import SPLIT_WORDS, Place, folders_in, paths_below, split_of
from classlift.data.problems import ImageProblem
from classlift.data.unusable import unread
from classlift.data.xml_files import Element, parse_xml
from classlift.errors import DataError
from classlift.paths import inside, state
from classlift.reading import MEGA, open_regular, read_text

ANNOTATIONS = ("annotations", "annotation", "annots", "xml", "xmls", "labels", "label")
"""What the folder of the XML files is called, in small letters, the likeliest first."""
IMAGE_SETS = Path("ImageSets", "Main")
"""The folder of the lists of splits, one name of an image without its suffix a line."""

LABEL_MAP = "labelmap.txt"
"""CVAT's list of the classes, `name:color:parts:actions` a line."""

IMAGES = ("JPEGImages", "images", "Images", ".")

_ONCE = {"name", "bndbox", "xmin", "ymin", "xmax", "ymax", "difficult"}
MAX_BYTES = 100 * MEGA
"""The most bytes of one XML file, which describes one image."""


def find_annotations(folder: Path) -> Path | None:
    """The folder that holds the XML files, if this is a VOC folder: one in it, or itself."""
    there = {path.name.lower(): path for path in folders_in(folder)} if folder.is_dir() else {}
    for name in ANNOTATIONS:
        if name in there and any(map(_is_annotation, _files(there[name]))):
            return there[name]
    if folder.is_dir() and any(map(_is_annotation, folder.iterdir())):
        return folder
    return None


def _files(annotations: Path) -> Iterator[Path]:
    """The files of a folder, and of those below it, which are those of splits or of tasks."""
    yield from filter(_is_xml, annotations.rglob("*"))


def find(path: Path) -> list[Place]:
    """A VOC folder, or the one of its XML files, where the images are beside it."""
    annotations = find_annotations(path) if os.path.isdir(path) else None
    if annotations is None:
        return []
    is_inner = annotations == path and path.name.lower() in ANNOTATIONS and not _has_images(path)
    if is_inner and find_annotations(path.parent) == path:
        path = path.parent
    return [Place("voc", path, path)]


def _has_images(folder: Path) -> bool:
    return any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.rglob("*"))


def _is_xml(path: Path) -> bool:
    return path.suffix.lower() == ".xml" and path.name[0] != "."


def is_one(path: Path) -> bool:
    """Whether a file is XML that begins as VOC's."""
    return path.is_file() and _is_annotation(path)


def _is_annotation(path: Path) -> bool:
    """Whether a file is called XML, and does not begin as that of another tool."""
    if not _is_xml(path):
        return False
    if not path.is_file():
        return True  # its reader says what is wrong with it
    with open_regular(path, "an XML file of labels") as file:
        head = re.sub(rb"<!--.*?-->", b"", file.read(4096), flags=re.DOTALL)
    first = re.search(rb"<([A-Za-z][\w.-]*)", head)
    return first is None or first[1].lower() == b"annotation"


def _image_sets(folder: Path) -> dict[str, str]:
    """The published split of images, by their name without a suffix."""
    found: dict[str, str] = {}
    for path in sorted((folder / IMAGE_SETS).glob("*.txt")):
        split = SPLIT_WORDS.get(path.stem.lower())
        if split is None or path.stem.lower() == "trainval":
            continue  # lists of a class, and one that joins two
        for line in read_text(path, "a list of images", MAX_BYTES).splitlines():
            name = line.strip()
            if Path(name).suffix.lower() in IMAGE_SUFFIXES:  # not that of VOC's own lists
                name = name.removesuffix(Path(name).suffix)
            found.setdefault(name, split)
    return found


def voc_shards(place: Place) -> Iterator[Shard]:
    """The XML files of a VOC folder by name. Raises DataError when there are none."""
    folder = place.path
    annotations = find_annotations(folder)
    if annotations is None:
        raise DataError(f"{folder}: there is no folder of XML files ({' or '.join(ANNOTATIONS)}).")
    is_deep = annotations != folder
    names = [n for n in paths_below(annotations, (".xml",)) if is_deep or "/" not in n]
    sets = _image_sets(folder)
    for part in chunks(names):
        states = [state(os.path.join(annotations, name)) for name in part]
        splits = tuple(_split(name, sets) for name in part)
        digest = hashlib.sha256(repr(states).encode()).hexdigest()
        yield Shard("voc", folder, (part, splits, digest, place.home))


def classes_of(place: Place) -> list[str]:
    """The classes that CVAT lists beside the annotations, in their order; else none.

    Args:
        place: of the folder.

    Returns:
        What stands before the first colon of each line of `labelmap.txt`, but for the background.

    """
    path = place.path / LABEL_MAP
    lines = read_text(path, "a list of classes", MAX_BYTES).splitlines() if path.is_file() else []
    names = [line.partition(":")[0].strip() for line in lines if not line.startswith("#")]
    return [name for name in names if name != "background"]


def _split(name: str, sets: Mapping[str, str]) -> str | None:
    """The published split of an XML file: that of a list, else of its folder below the others."""
    *folders, _ = name.split("/")
    plain = os.path.splitext(name)[0]
    listed = sets.get(plain) or sets.get(plain.rpartition("/")[2])
    return listed or next(filter(None, map(split_of, folders)), None)


def read_voc_shard(shard: Shard) -> Labels:
    """Reads the XML files of a shard.

    Coordinates are taken as they stand, as the OD API's own converter does, though the first
    pixel of the original VOC is 1. Document types and entities are refused. The lists of
    `ImageSets/Main` are published splits, and so are folders below that of the annotations.

    Args:
        shard: one of `voc_shards`.

    Returns:
        Its images and boxes.

    Raises:
        DataError: the image of a file can't be told.

    """
    folder = shard.path
    names, splits, _, home = shard.items
    annotations = find_annotations(folder) or folder
    places = [home / place for place in IMAGES if (home / place).is_dir()]
    found = Labels([], [])
    files = ImageFiles(home)
    for file_name, split in zip(names, splits, strict=True):
        where = f"{folder.name}/{file_name}"
        try:
            path = str(inside(annotations, file_name, str(folder)))
            image, boxes, remarks = _read(path, places, files, where, file_name, split)
        except DataError as error:
            found.remarks.append(unread(file_name, where, error))
        else:
            found.images.append(image)
            found.boxes.extend(boxes)
            found.remarks.extend(remarks)
    return found


def _read(
    path: str,
    places: list[Path],
    files: ImageFiles,
    where: str,
    file_name: str,
    split: str | None,
) -> tuple[LabelledImage, list[LabelledBox], list[ImageProblem]]:
    """The image of an XML file, its boxes, and what is to be said of it."""
    root = parse_xml(path, "an XML file of labels", MAX_BYTES)
    parts = _children(root)
    stated = _text(parts.get("filename"))
    name = stated or os.path.splitext(os.path.basename(file_name))[0]
    below = file_name.rpartition("/")[0]
    if below and not PurePosixPath(name).is_relative_to(below):
        name = str(PurePosixPath(below, name))
    size = _children(parts.get("size", ()))
    width, height = (size_of(_text(size.get(s)), s, path) for s in ("width", "height"))
    file = _find_image(places, files, name, path, file_name)
    if not stated and file.path.is_file():
        file = replace(file, renamed=True)
    remarks = list(file.remark(stated, name, where))
    name = files.relative(file.path) if _leaves(name) or not stated else name
    image = LabelledImage(name, str(file.path), width, height, where, split=split)
    boxes = [
        _box(found, name, f"{where} object {number}", path)
        for number, found in enumerate(filter(_is_object, root.iter()), start=1)
    ]
    return image, boxes, remarks


def _tag(element: Element) -> str:
    """The tag in small letters, without a namespace: tools write `Difficult`. Empty: a comment."""
    return element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else ""


def _is_object(element: Element) -> bool:
    return _tag(element) == "object"


def _children(element: Any) -> dict[str, Element]:
    """The children by tag; of several, the first."""
    return {_tag(child): child for child in reversed(element)}


def _parts(element: Any, where: str, path: str) -> dict[str, Element]:
    """The children of an object or of its box.

    Returns:
        The children by tag; of several, the first.

    Raises:
        DataError: one repeats that an object has once, or text stands between them: two objects
            were cut and glued, and the second would be lost without a word.

    """
    found: dict[str, Element] = {}
    for child in element:
        tag = _tag(child)
        if (tag in _ONCE and tag in found) or (child.tail or "").strip():
            raise DataError(f"{path}: {where} has more than one {tag}, or text after it.")
        found.setdefault(tag, child)
    return found


def _text(element: Element | None) -> str:
    return "" if element is None else (element.text or "").strip()


def _find_image(
    places: list[Path], files: ImageFiles, name: str, path: str, file_name: str
) -> Found:
    """The image in one of the places, or the one that can be meant.

    Args:
        places: folders of images.
        files: the images below the folder of the data set.
        name: of the image, with the folder that its XML file is in.
        path: of that file, for errors.
        file_name: of that file, below the folder of all annotations.

    Returns:
        The image, which may not be there.

    """
    for wanted in () if _leaves(name) else (name, *[name.rpartition("/")[2]] * ("/" in file_name)):
        for place in places:
            image = inside(place, wanted, path, within=files.folder)
            if os.path.isfile(image):
                return Found(image)
    return files.find(name, path, label_file=file_name)


def _leaves(name: str) -> bool:
    """Whether a path starts elsewhere, or climbs: it is of the machine of who labelled."""
    return name.startswith("/") or ".." in name.split("/")


def _box(found: Element, name: str, where: str, path: str) -> LabelledBox:
    parts = _parts(found, where, path)
    if "bndbox" not in parts and _children(parts.get("polygon", ())).keys() >= {"pt"}:
        raise DataError(
            f"{path}: this is the XML of LabelMe on the web; convert it to COCO, or export another "
            "format from the tool that wrote it."
        )
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
