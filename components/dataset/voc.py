"""Pascal VOC: a folder of XML annotations with their images."""

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException, ElementTree

from components.dataset.labels import LabelledBox, LabelledImage, Labels
from components.dataset.paths import inside
from components.errors import DataError

ANNOTATIONS = ("Annotations", "annotations")
IMAGES = ("JPEGImages", "images", "Images", ".")


def find_annotations(folder: Path) -> Path | None:
    """The sub-folder that holds the XML files, if this is a VOC folder."""
    for name in ANNOTATIONS:
        if any((folder / name).glob("*.xml")):
            return folder / name
    return None


def read_voc(folder: Path) -> Labels:
    """Reads all XML files of a VOC folder.

    Coordinates are taken as they stand, as the OD API's own converter does, though the first
    pixel of the original VOC is 1. Document types and entities are refused.

    Raises DataError, naming file and object, for XML that can't be read, an image that is not
    there or lies elsewhere, and boxes without four numbers.
    """
    annotations = find_annotations(folder)
    if annotations is None:
        raise DataError(f"{folder}: there is no folder of XML files ({' or '.join(ANNOTATIONS)}).")
    images: list[LabelledImage] = []
    boxes: list[LabelledBox] = []
    seen: dict[str, str] = {}
    for path in sorted(annotations.glob("*.xml")):
        root = _parse(path)
        name = (root.findtext("filename") or "").strip()
        if not name:
            raise DataError(f"{path} names no image file.")
        if name in seen:
            raise DataError(f"{path}: the image {name!r} is named by {seen[name]} too.")
        seen[name] = path.name
        where = f"{folder.name}/{path.name}"
        width, height = (_size(root, side, path) for side in ("width", "height"))
        image = _find_image(folder, name, path)
        images.append(LabelledImage(name, str(image), width, height, where))
        for number, found in enumerate(root.iter("object"), start=1):
            boxes.append(_box(found, name, f"{where} object {number}", path))
    return Labels(images, boxes)


def _parse(path: Path) -> Element:
    try:
        root: Element = ElementTree.parse(path, forbid_dtd=True).getroot()
    except DefusedXmlException as error:
        raise DataError(
            f"{path}: the XML defines a document type or entities, which are not read."
        ) from error
    except (ParseError, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not valid XML ({error}).") from error
    return root


def _find_image(folder: Path, name: str, path: Path) -> Path:
    for place in IMAGES:
        image = inside(folder, f"{place}/{name}", str(path))
        if image.is_file():
            return image
    raise DataError(f"{path}: its image {name!r} is in none of {', '.join(IMAGES)} of {folder}.")


def _size(root: Element, side: str, path: Path) -> int | None:
    text = root.findtext(f".//size/{side}")
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise DataError(f"{path}: the {side} {text!r} is no whole number.") from None


def _box(found: Element, name: str, where: str, path: Path) -> LabelledBox:
    try:
        xmin, ymin, xmax, ymax = (
            float(found.findtext(f"bndbox/{side}") or "")
            for side in ("xmin", "ymin", "xmax", "ymax")
        )
    except ValueError:
        raise DataError(f"{path}: {where} needs a bndbox with four numbers.") from None
    return LabelledBox(
        file_name=name,
        label=(found.findtext("name") or "").strip(),
        box=(xmin, ymin, xmax, ymax),
        source=where,
        difficult=(found.findtext("difficult") or "0").strip() == "1",
    )
