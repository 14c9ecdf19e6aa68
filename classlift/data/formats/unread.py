"""Formats that are not read: each is named, with what to do."""

import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from classlift.data.formats.csv_rows import NEEDED, columns_of, header_of
from classlift.data.images import IMAGE_SUFFIXES
from classlift.data.json_outline import Outline, outline
from classlift.data.places import folders_in
from classlift.errors import DataError
from classlift.reading import open_regular
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


UNREAD = (
    Unread("VoTT JSON", "export CSV or Pascal VOC from VoTT", _has("assets", "tags")),
    Unread("VoTT JSON", "export CSV or Pascal VOC from VoTT", _has("asset", "regions")),
    Unread("Supervisely JSON", "export COCO or Pascal VOC from it", _has("objects", "size")),
    Unread("Datumaro JSON", "convert it to COCO with Datumaro", _has("items", "categories")),
    Unread("SuperAnnotate JSON", "export COCO from it", _has("metadata", "instances")),
    Unread("Darwin JSON of V7", "export COCO from it", _has("item", "annotations")),
    Unread("Darwin JSON of V7", "export COCO from it", _has("dataset", "image", "annotations")),
    Unread("Labelbox JSON", "convert it to COCO with Labelbox's own tools", _has("data_row")),
    Unread("Labelbox JSON", "convert it to COCO with Labelbox's own tools", _has("Labeled Data")),
    Unread("Scale JSON", "convert it to COCO", _has("task_id", "response")),
    Unread("Scalabel JSON of BDD100K", "convert it to COCO with Scalabel", _has("name", "labels")),
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

_TABLES = (".csv",)
_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar")


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
        for file in [*files[:LOOKED_AT], *(f for f in files[LOOKED_AT:] if f.suffix in _TABLES)]:
            if (found := _file(file)) is not None:
                return f"{file.relative_to(path)}: {found}"
    return _without_images(folders) or _without_labels(folders)


def _without_images(folders: Sequence[Path]) -> str | None:
    """What is said of text files that would be YOLO's if there were images."""
    for folder in folders:
        for path in folder.glob("*.txt"):
            if not any(path.with_suffix(suffix).exists() for suffix in IMAGE_SUFFIXES):
                with suppress(DataError), open_regular(path, "a text file") as file:
                    if re.match(rb"\d+( [-+.\deE]+){4}\s", file.read(200)):
                        return (
                            f"{path.name} has boxes as YOLO writes them, of an image that is not "
                            "there: put the images beside the text files, or export with images"
                        )
    return None


def _without_labels(folders: Sequence[Path]) -> str | None:
    """What is said of folders of images alone."""
    for folder in folders:
        if any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir()):
            return "there are images in it and no labels; name the folder that holds both"
    return None


def _file(path: Path) -> str | None:
    if path.name.lower().endswith(_ARCHIVES):
        return "this is an archive; unpack it, and name the folder"
    if path.parent.name.lower() == "labeltxt" and path.suffix == ".txt":
        return "this is text of DOTA; export oriented boxes of YOLO, or COCO"
    if path.suffix.lower() in _TABLES:
        columns = header_of(path)
        if "filename" in columns_of(columns):
            return (
                f"this is a CSV with the columns {shorten(', '.join(columns), 200)}, which do not "
                f"make a box: a row needs {', '.join(NEEDED)}"
            )
        return None
    if path.suffix.lower() not in (".json", ".jsonl", ".ndjson", ".manifest"):
        return None
    found = outline(path)
    for row in UNREAD:
        if row.is_one(found):
            return f"this is {_article(row.title)} {row.title}; {row.todo}"
    return None


def _article(title: str) -> str:
    if title.startswith("COCO results"):
        return "a file of"
    return "an" if title[0] in "AEIO" else "a"
