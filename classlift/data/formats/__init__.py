"""The table of formats: how each is told from a folder or file, read, and described.

A new one is a module, a row of `FORMATS`, and its name in `classlift.settings.sources`.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from classlift.data.formats import (
    coco,
    createml,
    csv_rows,
    cvat,
    kitti,
    label_studio,
    labelme,
    open_images,
    parquet,
    via,
    voc,
    yolo,
)
from classlift.data.formats.unread import named
from classlift.data.labels import FLOAT32, Labels, Rounding, Shard, read_packed_shard
from classlift.data.media import is_record, record_files
from classlift.data.places import Place
from classlift.errors import ConfigError, DataError


@dataclass(frozen=True)
class Format:
    """One format of labels.

    name: what a config and `--format` call it.
    title: what people call it.
    made_by: the tools whose exports it is.
    layout: what lies where, in words for docs.
    find: what of it lies at a file or in a folder: nothing where it is another format. It looks at
        names and at the beginnings of files, and does not judge what they hold.
    shards: cuts what lies at a place into parts.
    read: reads one part, in whatever process.
    images: whether another folder than its own may be named for its images.
    rounding: by how much sides may leave their image, for that its numbers are rounded.
    """

    name: str
    title: str
    made_by: str
    layout: str
    find: Callable[[Path], Sequence[Place]]
    shards: Callable[[Place], Iterable[Shard]]
    read: Callable[[Shard], Labels]
    images: bool = False
    rounding: Rounding = FLOAT32


def _find_records(path: Path) -> Sequence[Place]:
    if os.path.isdir(path):
        return [Place("tfrecord", path, path)] if record_files(path) else []
    return [Place("tfrecord", path, path)] if is_record(path) else []


def _record_shards(place: Place) -> Iterable[Shard]:
    from classlift.data.formats.tfrecord import tfrecord_shards  # tfx_bsl, for those who need it

    return tfrecord_shards(place.path)


def _read_record_shard(shard: Shard) -> Labels:
    """Reads tf.Examples in the OD API's layout, each with its image.

    The sides of boxes are shares of the image. Class names come from `image/object/class/text`, or
    by `image/object/class/label` from the `label_map.pbtxt` beside the file.
    """
    from classlift.data.formats.tfrecord import read_tfrecord_shard

    return read_tfrecord_shard(shard)


_ROWS = (
    Format(
        "parquet",
        "Parquet tables",
        "ClassLift",
        "`images.parquet` and `boxes.parquet` with the images below their folder",
        parquet.find,
        parquet.parquet_shards,
        read_packed_shard,
        images=True,
    ),
    Format(
        "kitti",
        "KITTI",
        "KITTI, NVIDIA TAO",
        "`image_2/` and `label_2/` (or `images/` and `labels/`), a text file an image with a class "
        "and 14 numbers a line",
        kitti.find,
        kitti.kitti_shards,
        kitti.read_kitti_shard,
    ),
    Format(
        "cvat",
        "CVAT XML 1.1",
        "CVAT, for images and for video",
        "`annotations.xml`, and the images below its folder",
        cvat.find,
        cvat.cvat_shards,
        read_packed_shard,
        images=True,
        rounding=cvat.ROUNDING,
    ),
    Format(
        "labelme",
        "LabelMe JSON",
        "LabelMe, X-AnyLabeling",
        "a JSON file an image with `shapes`, beside the image or with its `imageData`",
        labelme.find,
        labelme.labelme_shards,
        labelme.read_labelme_shard,
        images=True,
    ),
    Format(
        "voc",
        "Pascal VOC XML",
        "labelImg, Roboflow, CVAT, the tutorials of the OD API",
        "an XML file an image, in `Annotations/`",
        voc.find,
        voc.voc_shards,
        voc.read_voc_shard,
    ),
    Format(
        "yolo",
        "YOLO",
        "Ultralytics, Roboflow, labelImg, CVAT, Label Studio, darknet",
        "`images/` and `labels/`, a text file an image, and the names of the classes",
        yolo.find,
        yolo.yolo_shards,
        yolo.read_yolo_shard,
        rounding=yolo.ROUNDING,
    ),
    Format(
        "tfrecord",
        "TFRecords of the OD API",
        "the OD API, Roboflow, CVAT",
        "`.record` or `.tfrecord` files, and their `label_map.pbtxt`",
        _find_records,
        _record_shards,
        _read_record_shard,
    ),
    Format(
        "label_studio",
        "Label Studio JSON",
        "Label Studio: JSON and JSON_MIN",
        "a JSON list of tasks, and the images below its folder",
        label_studio.find,
        label_studio.label_studio_shards,
        read_packed_shard,
        images=True,
    ),
    Format(
        "via",
        "VIA",
        "the VGG Image Annotator, versions 1 to 3",
        "a project or its annotations in JSON, or CSV, and the images below its folder",
        via.find,
        via.via_shards,
        read_packed_shard,
        images=True,
    ),
    Format(
        "createml",
        "CreateML JSON",
        "Roboflow, MakeML, Apple's CreateML",
        "a JSON list of images, each with `annotations`, and the images below its folder",
        createml.find,
        createml.createml_shards,
        read_packed_shard,
        images=True,
    ),
    Format(
        "open_images",
        "Open Images CSV",
        "Open Images, FiftyOne",
        "`*-annotations-bbox.csv`, `*class-descriptions*.csv`, and the images below their folder",
        open_images.find,
        open_images.open_images_shards,
        read_packed_shard,
        images=True,
        rounding=open_images.ROUNDING,
    ),
    Format(
        "csv",
        "CSV, a row a box",
        "the tutorials of the OD API, Roboflow, VoTT",
        "a CSV file with the columns `filename,width,height,class,xmin,ymin,xmax,ymax`, and the "
        "images below its folder",
        csv_rows.find,
        csv_rows.csv_shards,
        read_packed_shard,
        images=True,
    ),
    Format(
        "coco",
        "COCO JSON",
        "COCO, Roboflow, CVAT, Label Studio",
        "a JSON file with `images`, `annotations` and `categories`",
        coco.find,
        coco.coco_shards,
        read_packed_shard,
        images=True,
        rounding=coco.ROUNDING,
    ),
)

FORMATS = {row.name: row for row in _ROWS}
"""By name, in the order in which they are looked for."""


def places(
    path: Path, format_name: str | None = None, images_folder: Path | None = None
) -> list[Place]:
    """The labels that lie at a path, a file or a folder.

    Args:
        path: of a file or folder.
        format_name: of `FORMATS`; no other is looked for.
        images_folder: where the images are, for a format that can name another place than its own.

    Raises:
        DataError: nothing that can be read is there.
        ConfigError: the format knows where its images are.

    """
    rows = [FORMATS[format_name]] if format_name else list(FORMATS.values())
    if not os.path.exists(path):
        raise DataError(f"{path}: no labels that can be read: there is no such file or folder.")
    found = list(next(filter(None, (row.find(path) for row in rows)), []))
    if not found and format_name:
        found = [Place(format_name, path, path)]  # its reader says what is missing
    if not found:
        raise DataError(f"{path}: no labels that can be read: {_instead(path)}.")
    if images_folder:
        for place in found:
            if not FORMATS[place.format].images:
                raise ConfigError(
                    f"{path}: the format {place.format} says itself where its images are; leave "
                    "`images` out."
                )
        if not os.path.isdir(images_folder):
            raise ConfigError(
                f"{images_folder}: there is no such folder; check `images` of {path}."
            )
        found = [replace(place, home=images_folder) for place in found]
    return found


def _instead(path: Path) -> str:
    """What lies at a path that holds no labels which are read, or what would be."""
    titles = [row.title for row in FORMATS.values()]
    return (
        named(path)
        or f"they are {', '.join(titles[:-1])} or {titles[-1]}; name their file or folder"
    )


def label_shards(
    path: Path, format_name: str | None = None, images_folder: Path | None = None
) -> Iterator[Shard]:
    """Cuts the labels at a path into shards; the arguments and errors are those of `places`."""
    for place in places(path, format_name, images_folder):
        yield from FORMATS[place.format].shards(place)


def read_labels(path: Path, format_name: str | None = None) -> Labels:
    """Reads all labels at a path at once."""
    images, boxes, remarks = [], [], []
    for shard in label_shards(path, format_name):
        labels = FORMATS[shard.format].read(shard)
        images += labels.images
        boxes += labels.boxes
        remarks += labels.remarks
    return Labels(images, boxes, remarks)


def detect_format(path: Path) -> str:
    """The format of what lies at a path. Raises DataError when it is none that can be read."""
    return places(path)[0].format


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
