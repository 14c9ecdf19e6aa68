"""Formats that are not read: each is named, with what to do."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from classlift.data.json_outline import Outline, outline

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

_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar")


def named(path: Path) -> str | None:
    """Names what lies at a path and is not read, with what to do.

    Args:
        path: of a file or a folder, of which the first `LOOKED_AT` files are looked at.

    Returns:
        A part of a sentence, "this is a VoTT JSON; ..."; None for what is not known.

    """
    if not os.path.isdir(path):
        return _file(path)
    files = sorted(file for file in path.iterdir() if file.is_file())[:LOOKED_AT]
    for file in files:
        if (found := _file(file)) is not None:
            return f"{file.name}: {found}"
    return None


def _file(path: Path) -> str | None:
    if path.name.lower().endswith(_ARCHIVES):
        return "this is an archive; unpack it, and name the folder"
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
