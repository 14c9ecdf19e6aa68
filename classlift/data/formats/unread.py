"""Formats that are not read: each is named, with what to do."""

import os
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from classlift.data.formats.csv_rows import NEEDED, SUFFIXES, columns_of, header_of
from classlift.data.image_files import is_mask
from classlift.data.images import IMAGE_SUFFIXES
from classlift.data.json_outline import Outline, outline
from classlift.data.places import folders_in
from classlift.errors import DataError
from classlift.paths import ARCHIVES
from classlift.reading import LFS_ADVICE, LFS_POINTER, open_regular
from classlift.text import shorten

LOOKED_AT = 50
"""Files of a folder that are looked at."""


@dataclass(frozen=True)
class Unread:
    """A format that is not read.

    Attributes:
        title: what people call it.
        todo: what to do instead, as an imperative.
        is_one: whether a JSON file with such an outline is one.

    """

    title: str
    todo: str
    is_one: Callable[[Outline], bool]


def _has(*names: str) -> Callable[[Outline], bool]:
    """Whether an object, or the objects in a list, have all these keys."""
    return lambda found: set(names) <= set(found.keys) or set(names) <= found.inner


def _holds(name: str, other: str) -> Callable[[Outline], bool]:
    """Whether a document is an object with both keys, the second with something in it; no COCO."""
    return lambda found: (
        name in found.keys and bool(found.keys.get(other)) and "annotations" not in found.keys
    )


UNREAD = (
    Unread("Dataloop JSON", "export COCO from it", _has("filename", "annotations", "metadata")),
    Unread("Superb AI JSON", "export COCO from it", _has("objects", "categories")),
    Unread("Superb AI JSON", "export COCO from it", _has("data_key", "label_path")),
    Unread("MMDetection JSON", "convert it to COCO", _has("filename", "ann")),
    Unread("Kili JSON", "export COCO from it", _has("externalId", "jsonResponse")),
    Unread("PaliGemma or Florence JSONL", "export COCO from it", _has("image", "prefix", "suffix")),
    Unread("OpenAI JSONL", "export COCO from the tool that wrote it", _has("messages")),
    Unread("VoTT JSON", "export CSV or Pascal VOC from VoTT", _has("assets", "tags")),
    Unread("VoTT JSON", "export CSV or Pascal VOC from VoTT", _has("asset", "regions")),
    Unread("Supervisely JSON", "export COCO or Pascal VOC from it", _has("objects", "size")),
    Unread("Azure Custom Vision JSON", "export COCO from it", _holds("images", "tags")),
    Unread("Azure ML JSONL", "export COCO from it", _has("image_url", "label")),
    Unread("FiftyOne JSON", "export COCO from it", _holds("classes", "labels")),
    Unread("Datumaro JSON", "convert it to COCO with Datumaro", _has("items", "categories")),
    Unread("SuperAnnotate JSON", "export COCO from it", _has("metadata", "instances")),
    Unread("Darwin JSON of V7", "export COCO from it", _has("item", "annotations")),
    Unread("Darwin JSON of V7", "export COCO from it", _has("dataset", "image", "annotations")),
    Unread("Labelbox JSON", "convert it to COCO with Labelbox's own tools", _has("data_row")),
    Unread("Labelbox JSON", "convert it to COCO with Labelbox's own tools", _has("Labeled Data")),
    Unread("Scale JSON", "convert it to COCO", _has("task_id", "response")),
    Unread("Scalabel JSON of BDD100K", "convert it to COCO with Scalabel", _has("name", "labels")),
    Unread(
        "Scalabel JSON of BDD100K", "convert it to COCO with Scalabel", _holds("name", "frames")
    ),
    Unread(
        "Scalabel JSON of BDD100K", "convert it to COCO with Scalabel", _has("frames", "config")
    ),
    Unread("FiftyOne JSON", "export COCO from it", _has("samples")),
    Unread("Hasty JSON", "export COCO from it", _has("label_classes", "images")),
    Unread("Encord JSON", "export COCO from it", _has("data_hash", "data_units")),
    Unread("Ground Truth manifest of AWS", "convert it to COCO", _has("source-ref")),
    Unread("Vertex AI JSON", "convert it to COCO", _has("imageGcsUri")),
    Unread(
        "COCO results, what a model found and no labels",
        "name the labels of these images",
        _has("image_id", "category_id", "score"),
    ),
)
"""From what is told by more keys to what is told by fewer."""


@dataclass(frozen=True)
class UnreadText:
    """Text of a format that is not read.

    Attributes:
        title: what people call it.
        todo: what to do instead, as an imperative.
        begins: what a file begins with.

    """

    title: str
    todo: str
    begins: re.Pattern[str]


def _begins(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_N = r"-?[\d.]+"
_IMAGE_NAME = rf"[^\n]*\.({'|'.join(suffix[1:] for suffix in sorted(IMAGE_SUFFIXES))})"

UNREAD_TEXTS = (
    UnreadText(
        "text of WIDER FACE",
        "convert it to COCO or Pascal VOC",
        _begins(rf"{_IMAGE_NAME}\s*\n\d+\s*\n({_N} ){{3,}}"),
    ),
    UnreadText(
        "text of VisDrone",
        "convert it to YOLO, as VisDrone.yaml of Ultralytics does",
        _begins(r"(\d+,){7}\d+,?\s*(\n|$)"),
    ),
    UnreadText(
        "text of the MOT Challenge",
        "convert it to COCO",
        _begins(rf"\d+,-?\d+,({_N},){{4}}({_N},?){{1,4}}\s*(\n|$)"),
    ),
    UnreadText(
        "a CSV of AutoML of Google",
        "export COCO from the tool that wrote it",
        _begins(r"(TRAIN|TRAINING|VALIDATE|VALIDATION|TEST|UNASSIGNED),gs://"),
    ),
)
"""What is told by how a text begins; what VisDrone has is also MOT's."""

UNKNOWN = "it names images and boxes in a format that is not known; convert it to COCO"
"""What is said of a file that looks like labels."""

_TEXTS = (".txt", ".csv", ".tsv")
_JSON = (".json", ".jsonl", ".ndjson", ".manifest")
_HEAD_BYTES = 64 * 1024
_BOX_KEYS = (
    r"((b(nd|ounding[_-]?)?)?box(es)?|xmin|x_?1|left|rect(angle)?|points|polygon|coordinates)"
)
_KEYED = re.compile(rf'"{_BOX_KEYS}"\s*:|<{_BOX_KEYS}[\s>]', re.IGNORECASE)
_NAMED = re.compile(rf'{_IMAGE_NAME}["<]', re.IGNORECASE)
_ROW = re.compile(rf"{_IMAGE_NAME}\b[^\n]*({_N}[ ,;\t]+){{3}}{_N}", re.IGNORECASE)


def named(path: Path, depth: int = 0) -> str | None:
    """Names what lies at a path and is not read, with what to do.

    Args:
        path: of a file or a folder, of which the first `LOOKED_AT` files are looked at.
        depth: how many folders below are looked into.

    Returns:
        A part of a sentence, "this is a VoTT JSON; ..."; None for what is not known.

    """
    if not os.path.isdir(path):
        return _file(path)
    folders = [path]
    for folder in folders:
        if len(folder.relative_to(path).parts) < depth:
            folders += folders_in(folder)
    for folder in folders:
        files = sorted(file for file in folder.iterdir() if file.is_file())
        for file in [*files[:LOOKED_AT], *(f for f in files[LOOKED_AT:] if f.suffix in SUFFIXES)]:
            if (found := _file(file)) is not None:
                return f"{file.relative_to(path)}: {found}"
    return (
        _without_images(folders)
        or _unknown(path, folders)
        or _called_as_an_image(path, folders)
        or _without_labels(folders)
    )


def _unknown(path: Path, folders: Sequence[Path]) -> str | None:
    """What is said of files that look like labels, and are of no format that is known."""
    for folder in folders:
        files = sorted(file for file in folder.iterdir() if file.is_file())
        for file in files[:LOOKED_AT]:
            if found := unknown(file):
                return f"{file.relative_to(path)}: {found}"
    return None


def _without_images(folders: Sequence[Path]) -> str | None:
    """What is said of text files that would be YOLO's if there were images."""
    for folder in folders:
        for path in folder.glob("*.txt"):
            if not any(path.with_suffix(suffix).exists() for suffix in IMAGE_SUFFIXES):
                with suppress(DataError), open_regular(path, "a text file") as file:
                    if re.match(rb"\d+( [-+.\deE]+){4}\s*(\n|$)", file.read(200)):
                        return (
                            f"{path.name} has boxes as YOLO writes them, of an image that is not "
                            "there: put the images beside the text files, or export with images"
                        )
    return None


def _called_as_an_image(path: Path, folders: Sequence[Path]) -> str | None:
    """What is said of text that is called as an image is, and is none that a format has."""
    files = [file for folder in folders for file in sorted(folder.iterdir())[: 2 * LOOKED_AT]]
    stems = {file.stem for file in files if file.suffix.lower() in IMAGE_SUFFIXES}
    for file in files:
        if file.suffix.lower() == ".txt" and file.stem in stems:
            first = next((line for line in _head(file).split("\n") if line.strip()), "")
            if first:
                return (
                    f"{file.relative_to(path)} is called as an image is, and its first line is "
                    f"{shorten(repr(first), 80)}; YOLO has `class x y width height`, with blanks "
                    "between them"
                )
    return None


def _without_labels(folders: Sequence[Path]) -> str | None:
    """What is said of folders of images alone."""
    with_images = [
        folder
        for folder in folders
        if any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir())
    ]
    for folder in with_images:
        if is_mask(f"{folder.name}/"):
            return f"{folder.name} holds masks, which have no boxes; export COCO or Pascal VOC"
    if with_images:
        return "there are images in it and no labels; name the folder that holds both"
    return None


def _file(path: Path) -> str | None:
    if path.suffix.lower() in (*_TEXTS, *_JSON) and _head(path).startswith(LFS_POINTER):
        return LFS_ADVICE
    if path.name.lower().endswith(ARCHIVES):
        return "this is an archive; unpack it, and name the folder"
    if path.parent.name.lower() == "labeltxt" and path.suffix == ".txt":
        return "this is text of DOTA; export oriented boxes of YOLO, or COCO"
    if path.suffix.lower() in SUFFIXES:
        columns = header_of(path)
        if {"annotation_id", "lead_time"} <= set(columns):
            return "this is a table of Label Studio; export JSON from it"
        said = columns_of(columns)
        if "filename" in said and not set(NEEDED) <= set(said):
            return (
                f"this is a CSV with the columns {shorten(', '.join(columns), 200)}, which do not "
                f"make a box: a row needs {', '.join(NEEDED)}"
            )
    suffix = path.suffix.lower()
    if suffix in (*_TEXTS, *_JSON) and _is_utf_16(path):
        return "it is written in UTF-16; save it in UTF-8"
    if suffix in _JSON:
        found = outline(path)
        for row in UNREAD:
            if row.is_one(found):
                return f"this is {_article(row.title)} {row.title}; {row.todo}"
    if suffix in _TEXTS:
        head = _head(path)
        for text in UNREAD_TEXTS:
            if text.begins.match(head):
                return f"this is {text.title}; {text.todo}"
    return None


def _is_utf_16(path: Path) -> bool:
    with suppress(DataError), open_regular(path, "a file of labels") as file:
        return file.read(2) in (BOM_UTF16_LE, BOM_UTF16_BE)
    return False


def unknown(path: Path) -> str | None:
    """Names a file that looks like labels, and is of no format that is known.

    Args:
        path: of the file.

    Returns:
        `UNKNOWN`, or None.

    """
    suffix = path.suffix.lower()
    if suffix in _TEXTS:
        return UNKNOWN if _ROW.search(_head(path)) else None
    if suffix in (*_JSON, ".xml"):
        head = _head(path)
        return UNKNOWN if _KEYED.search(head) and _NAMED.search(head) else None
    return None


def _head(path: Path) -> str:
    """The beginning of a file; empty of one that can't be read."""
    with suppress(DataError), open_regular(path, "a file of labels") as file:
        return file.read(_HEAD_BYTES).decode("utf-8-sig", "replace").replace("\r\n", "\n")
    return ""


def _article(title: str) -> str:
    if title.startswith("COCO results"):
        return "a file of"
    return "an" if title[0] in "AEIO" else "a"
