"""The formats of labels, told by looking at the path.

A new one is a module, a line here, and its name in `classlift.settings.sources`.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from classlift.data.formats import coco, yolo
from classlift.data.formats.coco import coco_shards
from classlift.data.formats.parquet import is_parquet, parquet_shards
from classlift.data.formats.voc import find_annotations, read_voc_shard, voc_shards
from classlift.data.formats.yolo import is_yolo, read_yolo_shard, yolo_shards
from classlift.data.labels import FLOAT32, Labels, Rounding, Shard, read_packed_shard
from classlift.data.media import is_record, record_files
from classlift.errors import ConfigError, DataError


@dataclass(frozen=True)
class Format:
    """shards: cuts what lies at a path into parts; read: reads one, in whatever process.

    images_folder: whether `shards` also takes the folder of the images. rounding: by how much
    sides may leave their image, for that its numbers are rounded.
    """

    shards: Callable[..., Iterable[Shard]]
    read: Callable[[Shard], Labels]
    images_folder: bool = False
    rounding: Rounding = FLOAT32


def _tfrecord_shards(path: Path) -> Iterable[Shard]:
    from classlift.data.formats.tfrecord import tfrecord_shards  # tfx_bsl, for those who need it

    return tfrecord_shards(path)


def _read_tfrecord_shard(shard: Shard) -> Labels:
    from classlift.data.formats.tfrecord import read_tfrecord_shard

    return read_tfrecord_shard(shard)


FORMATS = {
    "coco": Format(coco_shards, read_packed_shard, images_folder=True, rounding=coco.ROUNDING),
    "voc": Format(voc_shards, read_voc_shard),
    "yolo": Format(yolo_shards, read_yolo_shard, rounding=yolo.ROUNDING),
    "tfrecord": Format(_tfrecord_shards, _read_tfrecord_shard),
    "parquet": Format(parquet_shards, read_packed_shard, images_folder=True),
}


def label_shards(
    path: Path, format_name: str | None = None, images_folder: Path | None = None
) -> Iterable[Shard]:
    """Cuts the labels at a path into shards; `format_name` (of `FORMATS`) skips the looking.

    images_folder: where the images are, for a format that can name another place than its own.

    Raises DataError when nothing that can be read is there, ConfigError when the format knows
    where its images are.
    """
    name = format_name or detect_format(path)
    if not images_folder:
        return FORMATS[name].shards(path)
    if not FORMATS[name].images_folder:
        raise ConfigError(
            f"{path}: the format {name} says itself where its images are; leave `images` out."
        )
    if not os.path.isdir(images_folder):
        raise ConfigError(f"{images_folder}: there is no such folder; check `images` of {path}.")
    return FORMATS[name].shards(path, images_folder)


def read_labels(path: Path, format_name: str | None = None) -> Labels:
    """Reads all labels at a path at once."""
    images, boxes = [], []
    for shard in label_shards(path, format_name):
        labels = FORMATS[shard.format].read(shard)
        images += labels.images
        boxes += labels.boxes
    return Labels(images, boxes)


def detect_format(path: Path) -> str:
    """The format of what lies at a path. Raises DataError when it is none that can be read."""
    if os.path.isdir(path):
        if is_parquet(path):
            return "parquet"
        if find_annotations(path) is not None:
            return "voc"
        if is_yolo(path):
            return "yolo"
        if record_files(path):
            return "tfrecord"
    elif path.suffix == ".json":
        return "coco"
    elif is_record(path):
        return "tfrecord"
    raise DataError(
        f"{path}: no labels that can be read: name a COCO .json, a Pascal VOC folder "
        "(Annotations/), a YOLO folder (images/, labels/), .record files of the OD API, or a "
        "folder with images.parquet and boxes.parquet."
    )


def home_of(path: Path) -> Path:
    """What holds the images of a source: the path itself, or the folder that a .json lies in."""
    return path if os.path.isdir(path) or is_record(path) else path.parent


def files_of(path: Path, images_folder: Path | None = None) -> Iterator[Path]:
    """All files that a source may be made of."""
    home = home_of(path)
    if not os.path.isdir(home):
        yield from (home, home.with_name("label_map.pbtxt"))
        return
    for folder in filter(None, (home, images_folder)):
        yield from sorted(file for file in folder.rglob("*") if file.is_file())
