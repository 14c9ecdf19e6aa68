"""The table of formats: how each is told from a folder or file, read, and described.

A new one is a module, a row of `FORMATS`, and its name in `classlift.settings.sources`.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from classlift.data.formats import (
    coco,
    createml,
    csv_rows,
    cvat,
    hugging_face,
    keras_yolo,
    kitti,
    label_studio,
    labelme,
    open_images,
    parquet,
    via,
    voc,
    yolo,
)
from classlift.data.formats.collected import has_images
from classlift.data.formats.unread import named, unknown
from classlift.data.images import IMAGE_SUFFIXES
from classlift.data.label_map import LabelMap
from classlift.data.labels import (
    FLOAT32,
    LabelledBox,
    LabelledImage,
    Labels,
    Rounding,
    Shard,
    read_packed_shard,
)
from classlift.data.media import is_record, label_map_beside, record_files
from classlift.data.places import Layout, Place, folders_in, split_of
from classlift.data.problems import ImageProblem
from classlift.data.unusable import require_usable
from classlift.errors import ConfigError, DataError
from classlift.paths import did_you_mean_path

DEPTH = 3
"""How many folders below the one that is named are looked into."""


def _no_list(_: Place) -> Sequence[str]:
    """No classes: the format lists none."""
    return ()


def _classes_of_records(place: Place) -> Sequence[str]:
    """The classes of the label map beside the records.

    Returns:
        Their names; none where there is no label map.

    """
    path = place.label_map or label_map_beside(place.path)
    return LabelMap.read(path).names if path and path.is_file() else ()


@dataclass(frozen=True)
class Format:
    """One format of labels.

    Attributes:
        name: what a config and `--format` call it.
        title: what people call it.
        made_by: the tools whose exports it is.
        layout: what lies where, in words for docs.
        find: what of it lies at a file or in a folder: nothing where it is another format. It looks
            at names and at the beginnings of files, and does not judge what they hold.
        is_one: whether a file holds labels of it, by its name and its beginning.
        shards: cuts what lies at a place into parts.
        read: reads one part, in whatever process.
        images: whether another folder than its own may be named for its images.
        names_images: whether its labels name their images; where they do not, all images of its
            folder are labelled.
        in_shares: whether sides are shares of the image, from 0 to 1, and not pixels.
        rounding: by how much sides may leave their image, for that its numbers are rounded.
        classes: the classes that it lists, in its order, whether or not they are labelled.

    """

    name: str
    title: str
    made_by: str
    layout: str
    find: Callable[[Path], Sequence[Place]]
    is_one: Callable[[Path], bool]
    shards: Callable[[Place], Iterable[Shard]]
    read: Callable[[Shard], Labels]
    images: bool = False
    names_images: bool = True
    in_shares: bool = False
    rounding: Rounding = FLOAT32
    classes: Callable[[Place], Sequence[str]] = _no_list


def _find_records(path: Path) -> Sequence[Place]:
    if os.path.isdir(path):
        return [Place("tfrecord", path, path)] if record_files(path) else []
    return [Place("tfrecord", path, path)] if is_record(path) else []


def _record_shards(place: Place) -> Iterable[Shard]:
    from classlift.data.formats.tfrecord import tfrecord_shards  # tfx_bsl, for those who need it

    return tfrecord_shards(place)


def _read_record_shard(shard: Shard) -> Labels:
    """Reads tf.Examples in the OD API's layout, each with its image.

    The sides of boxes are shares of the image. Class names come from `image/object/class/text`, or
    by `image/object/class/label` from the `label_map.pbtxt` beside the file. Files called as splits
    (`train.record`, `coco_val.record-00000-of-00010`) are published splits.

    Args:
        shard: of `_record_shards`.

    Returns:
        Its images and boxes, in pixels.

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
        parquet.is_one,
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
        kitti.is_one,
        kitti.kitti_shards,
        kitti.read_kitti_shard,
        names_images=False,
    ),
    Format(
        "cvat",
        "CVAT XML 1.1",
        "CVAT, for images and for video",
        "`annotations.xml`, and the images below its folder",
        cvat.find,
        cvat.is_one,
        cvat.cvat_shards,
        read_packed_shard,
        images=True,
        rounding=cvat.ROUNDING,
        classes=cvat.classes_of,
    ),
    Format(
        "labelme",
        "LabelMe JSON",
        "LabelMe, X-AnyLabeling",
        "a JSON file an image with `shapes`, beside the image or with its `imageData`",
        labelme.find,
        labelme.is_one,
        labelme.labelme_shards,
        labelme.read_labelme_shard,
        images=True,
    ),
    Format(
        "voc",
        "Pascal VOC XML",
        "labelImg, Roboflow, CVAT, the tutorials of the OD API",
        "an XML file an image, in `Annotations/`, `annots/`, `xml/` or beside the image",
        voc.find,
        voc.is_one,
        voc.voc_shards,
        voc.read_voc_shard,
        images=True,
        classes=voc.classes_of,
    ),
    Format(
        "yolo",
        "YOLO",
        "Ultralytics, Roboflow, labelImg, CVAT, Label Studio, darknet",
        "a text file an image, in `labels/` where the images are in `images/`, or beside the "
        "image; and the names of the classes, in the folder or above",
        yolo.find,
        yolo.is_one,
        yolo.yolo_shards,
        yolo.read_yolo_shard,
        names_images=False,
        in_shares=True,
        rounding=yolo.ROUNDING,
        classes=yolo.classes_of,
    ),
    Format(
        "keras_yolo",
        "Text of keras-yolo3",
        "Roboflow: YOLO v3 Keras, YOLO v4 PyTorch",
        "a text file with a line an image, `image.jpg xmin,ymin,xmax,ymax,class ...`, beside it "
        "`_classes.txt`, and the images below its folder",
        keras_yolo.find,
        keras_yolo.is_one,
        keras_yolo.keras_yolo_shards,
        read_packed_shard,
        images=True,
        classes=keras_yolo.classes_of,
    ),
    Format(
        "hugging_face",
        "Metadata of a Hugging Face image folder",
        "Hugging Face Datasets",
        "`metadata.jsonl` with `file_name` and `objects`, and the images below its folder",
        hugging_face.find,
        hugging_face.is_one,
        hugging_face.hugging_face_shards,
        read_packed_shard,
        images=True,
    ),
    Format(
        "tfrecord",
        "TFRecords of the OD API",
        "the OD API, Roboflow, CVAT",
        "`.record`, `.tfrecord` or `.tfrec` files, also in numbered shards, and their "
        "`label_map.pbtxt`",
        _find_records,
        is_record,
        _record_shards,
        _read_record_shard,
        names_images=False,
        in_shares=True,
        classes=_classes_of_records,
    ),
    Format(
        "label_studio",
        "Label Studio JSON",
        "Label Studio: JSON and JSON_MIN",
        "a JSON list of tasks, and the images below its folder",
        label_studio.find,
        label_studio.is_one,
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
        via.is_one,
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
        createml.is_one,
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
        open_images.is_one,
        open_images.open_images_shards,
        read_packed_shard,
        images=True,
        in_shares=True,
        rounding=open_images.ROUNDING,
    ),
    Format(
        "csv",
        "CSV, a row a box",
        "the tutorials of the OD API, Roboflow, VoTT",
        "a CSV file with the columns `filename,width,height,class,xmin,ymin,xmax,ymax`, and the "
        "images below its folder",
        csv_rows.find,
        csv_rows.is_one,
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
        coco.is_one,
        coco.coco_shards,
        read_packed_shard,
        images=True,
        rounding=coco.ROUNDING,
        classes=coco.classes_of,
    ),
)

FORMATS = {row.name: row for row in _ROWS}
"""By name, in the order in which they are looked for."""


def kind_of(file: Path) -> tuple[str, str]:
    """What labels a file holds.

    Args:
        file: to look at, by its name and its beginning.

    Returns:
        The name of its format, empty where it is none that is read, and what it is in words, empty
        where it holds no labels.

    """
    for row in FORMATS.values():
        if row.is_one(file):
            return row.name, row.title
    return "", named(file) or unknown(file) or ""


def look(
    path: Path,
    format_name: str | None = None,
    images_folder: Path | None = None,
    label_map: Path | None = None,
) -> Layout:
    """The labels that lie at a path: a file, a folder, or folders below it, as those of splits.

    Args:
        path: of a file or folder.
        format_name: of `FORMATS`; no other is looked for.
        images_folder: where the images are, for a format that can name another place than its own.
        label_map: names the class ids of records that have no names; None is the one beside them.

    Returns:
        At least one place.

    Raises:
        DataError: nothing that can be read is there, or several things of which none is meant.
        ConfigError: the format knows where its images are.

    """
    rows = [FORMATS[format_name]] if format_name else list(FORMATS.values())
    if not os.path.exists(path):
        raise DataError(
            f"{path}: no labels that can be read: there is no such file or "
            f"folder{did_you_mean_path(path)}."
        )
    if path.suffix.lower() in yolo.YAML and path.is_file():
        path = path.parent  # a data.yaml stands for what lies beside it
    found, notes = _look(path, rows, DEPTH, {})
    if not found and format_name:
        found = [Place(format_name, path, path)]  # its reader says what is missing
    if not found:
        raise DataError(f"{path}: no labels that can be read: {_instead(path)}.")
    if images_folder:
        found = [_with_images(place, images_folder) for place in found]
    elif os.path.isdir(path):
        found = [_with_home(place, path) for place in found]
    root = path if os.path.isdir(path) or is_record(path) else found[0].home
    if len(found) > 1:
        found = [replace(place, below=_below(place.home, root)) for place in found]
    found = [replace(place, label_map=label_map, root=path) for place in found]
    return Layout(root, tuple(found), tuple(notes))


def _instead(path: Path) -> str:
    """What lies at a path that holds no labels which are read, or what would be."""
    titles = [row.title for row in FORMATS.values()]
    if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
        return "this is an image; name the file or the folder of its labels"
    return (
        named(path, DEPTH)
        or f"they are {', '.join(titles[:-1])} or {titles[-1]}; name their file or folder"
    )


def _look(
    path: Path, rows: Sequence[Format], depth: int, said: Mapping[Path, str]
) -> tuple[Sequence[Place], Sequence[str]]:
    """The places at a path.

    Args:
        path: of a file or folder.
        rows: the formats that are looked for.
        depth: how many folders below are looked into.
        said: the split of folders of images, as a data.yaml above says it.

    Returns:
        The places, and sentences on what was chosen.

    Raises:
        DataError: folders below have labels, and no splits.

    """
    for row in rows:
        if found := row.find(path):
            return found, ()
    if not depth or not os.path.isdir(path):
        return (), ()
    said = {**said, **yolo.splits_said(path)}
    folders = list(folders_in(path))
    depth -= len(folders) > 1  # a folder in a folder in a folder, as archives have it
    below = {folder: _look(folder, rows, depth, said) for folder in folders}
    below = {folder: found for folder, found in below.items() if found[0]}
    splits = {folder: split_of(folder.name) or _said_of(folder, said) for folder in below}
    if len(below) > 1 and not all(splits.values()):
        listed = ", ".join(f"{f.name} ({found[0].format})" for f, (found, _) in below.items())
        raise DataError(
            f"{path} holds several sets of labels: {listed}. Name one of them, or each as a source "
            "of its own."
        )
    return (
        [
            replace(place, split=place.split or splits[folder])
            for folder, (found, _) in below.items()
            for place in found
        ],
        [note for _, notes in below.values() for note in notes],
    )


def _said_of(folder: Path, said: Mapping[Path, str]) -> str | None:
    """The one split that is said of the images in a folder; None where it is none, or several."""
    splits = {split for path, split in said.items() if path.is_relative_to(folder)}
    return splits.pop() if len(splits) == 1 else None


def _with_home(place: Place, root: Path) -> Place:
    """A place with its images; where its folder has none, they are below the one that was named."""
    if not FORMATS[place.format].images or place.home == root or has_images(place.home):
        return place
    return replace(place, home=root)


def _with_images(place: Place, folder: Path) -> Place:
    if not FORMATS[place.format].images:
        raise ConfigError(
            f"{place.path}: the format {place.format} says itself where its images are; leave "
            "`images` out."
        )
    if not os.path.isdir(folder):
        raise ConfigError(f"{folder}: there is no such folder; check `images` of {place.path}.")
    return replace(place, home=folder)


def _below(home: Path, root: Path) -> str:
    """The path from a root to what holds images, or its name where it lies elsewhere."""
    inner = home.relative_to(root) if home.is_relative_to(root) else Path(home.name)
    return "" if inner == Path() else f"{inner.as_posix()}/"


def read_labels(path: Path, format_name: str | None = None) -> Labels:
    """Reads all labels at a path at once, with the names of images as in a snapshot."""
    images: list[LabelledImage] = []
    boxes: list[LabelledBox] = []
    remarks: list[ImageProblem] = []
    for place in look(path, format_name).places:
        for shard in FORMATS[place.format].shards(place):
            labels = FORMATS[place.format].read(shard)
            if not place.below:
                images += labels.images
                boxes += labels.boxes
                remarks += labels.remarks
                continue
            images += [replace(i, file_name=place.below + i.file_name) for i in labels.images]
            boxes += [replace(b, file_name=place.below + b.file_name) for b in labels.boxes]
            remarks += [replace(r, image_id=place.below + r.image_id) for r in labels.remarks]
    require_usable(path, [image.file_name for image in images], len(boxes), remarks)
    return Labels(images, boxes, remarks)


def detect_format(path: Path) -> str:
    """The format of what lies at a path. Raises DataError when it is none that can be read."""
    return look(path).places[0].format


def class_list(layout: Layout, labelled: Iterable[str]) -> tuple[str, ...]:
    """All classes of what lies at a path, so that each split of a data set numbers them alike.

    Args:
        layout: of the path.
        labelled: the classes of its boxes.

    Returns:
        Each once: those that the labels list in their order, then the others by name.

    """
    listed = [name for place in layout.places for name in FORMATS[place.format].classes(place)]
    return tuple(dict.fromkeys([*filter(None, listed), *sorted(labelled)]))


def files_of(layout: Layout) -> Iterator[Path]:
    """All files that a source may be made of."""
    if not os.path.isdir(layout.root):
        yield from filter(None, (layout.root, label_map_beside(layout.root)))
        return
    folders = {layout.root}
    for place in layout.places:
        folders |= {place.home, place.path if os.path.isdir(place.path) else place.path.parent}
    for folder in sorted(folders):
        if not folders.intersection(folder.parents):
            yield from sorted(file for file in folder.rglob("*") if file.is_file())
