"""The formats of labels, told by looking at the path. A new one is a reader and a line here."""

import re
from collections.abc import Callable
from pathlib import Path

from components.dataset.coco import read_coco
from components.dataset.labels import Labels
from components.dataset.voc import find_annotations, read_voc
from components.dataset.yolo import is_yolo, read_yolo
from components.errors import DataError

_RECORD = re.compile(r"\.(tf)?records?(-\d+-of-\d+)?$")


def _read_tfrecord(path: Path) -> Labels:
    from components.dataset.tfrecord import read_tfrecord  # tfx_bsl, for those who need it

    return read_tfrecord(path)


READERS: dict[str, Callable[[Path], Labels]] = {
    "coco": read_coco,
    "voc": read_voc,
    "yolo": read_yolo,
    "tfrecord": _read_tfrecord,
}


def read_labels(path: Path, format_name: str | None = None) -> Labels:
    """Reads the labels at a path; `format_name` (a key of `READERS`) skips the looking."""
    return READERS[format_name or detect_format(path)](path)


def detect_format(path: Path) -> str:
    """The format of what lies at a path. Raises DataError when it is none that can be read."""
    if path.is_dir():
        if find_annotations(path) is not None:
            return "voc"
        if is_yolo(path):
            return "yolo"
    elif path.suffix == ".json":
        return "coco"
    elif _RECORD.search(path.name):
        return "tfrecord"
    raise DataError(
        f"{path}: no labels that can be read: name a COCO .json, a Pascal VOC folder "
        "(Annotations/), a YOLO folder (images/, labels/) or a .record of the OD API."
    )


def folder_of(path: Path) -> Path:
    """The folder whose files a source is made of: itself, or the one it lies in."""
    return path if path.is_dir() else path.parent
