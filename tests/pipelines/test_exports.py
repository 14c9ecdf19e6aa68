"""Folders as labelling tools export them: each is validated with the right counts, its splits
stand, and a first config for it compiles.

Made after the documented formats of the tools; what a tool writes beside its labels is there too.
"""

import argparse
import csv
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classlift.cli import load
from classlift.data.examples import to_example
from classlift.data.label_map import LabelMap
from classlift.data.snapshot import Snapshot, Source, take_snapshot
from classlift.quality.repair import repair
from pipelines.config import ROOT, load_config
from pipelines.first_config import Start, recalls_on_eval, write_first_config

MODEL = ROOT / "demo" / "model"

WIDTH, HEIGHT = 80, 60
CLASSES = ("8", "traffic light", "3")
OBJECTS = {
    "a": [("8", 10, 10, 30, 40), ("3", 40, 6, 60, 36)],
    "b": [("traffic light", 4, 6, 24, 56)],
    "c": [("8", 10, 10, 30, 40), ("8", 40, 6, 60, 36), ("3", 62, 6, 76, 36)],
    "d": [("8", 20, 12, 40, 42)],
    "e": [("traffic light", 20, 12, 40, 42), ("3", 50, 12, 70, 42)],
    "f": [("8", 30, 18, 50, 48)],
}
"""The labelled objects of each image, as xmin, ymin, xmax, ymax in pixels."""

ALL = "abcdef"


def picture(path: Path) -> None:
    """An image that looks like no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = zlib.crc32("/".join(path.parts[-3:]).encode())
    pixels = np.random.default_rng(seed).integers(0, 255, (30, 40, 3), np.uint8)
    Image.fromarray(pixels).resize((WIDTH, HEIGHT)).save(path)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


# Labels of one image, or of several


def xml(name: str, file_name: str, folder: str = "images") -> str:
    """What labelImg writes."""
    objects = "".join(
        f"\n\t<object>\n\t\t<name>{label}</name>\n\t\t<pose>Unspecified</pose>\n\t\t<truncated>0"
        f"</truncated>\n\t\t<difficult>0</difficult>\n\t\t<bndbox>\n\t\t\t<xmin>{xmin}</xmin>"
        f"\n\t\t\t<ymin>{ymin}</ymin>\n\t\t\t<xmax>{xmax}</xmax>\n\t\t\t<ymax>{ymax}</ymax>"
        "\n\t\t</bndbox>\n\t</object>"
        for label, xmin, ymin, xmax, ymax in OBJECTS[name]
    )
    return (
        f"<annotation>\n\t<folder>{folder}</folder>\n\t<filename>{file_name}</filename>\n\t<path>"
        f"C:\\Users\\me\\{folder}\\{file_name}</path>\n\t<source>\n\t\t<database>Unknown</database>"
        f"\n\t</source>\n\t<size>\n\t\t<width>{WIDTH}</width>\n\t\t<height>{HEIGHT}</height>\n\t\t"
        f"<depth>3</depth>\n\t</size>\n\t<segmented>0</segmented>{objects}\n</annotation>\n"
    )


def lines(name: str) -> str:
    """YOLO, with six decimals."""
    return "".join(
        f"{CLASSES.index(label)} {(xmin + xmax) / 2 / WIDTH:.6f} {(ymin + ymax) / 2 / HEIGHT:.6f} "
        f"{(xmax - xmin) / WIDTH:.6f} {(ymax - ymin) / HEIGHT:.6f}\n"
        for label, xmin, ymin, xmax, ymax in OBJECTS[name]
    )


def coco(files: dict[str, str], first: int = 1, **more: object) -> str:
    """COCO JSON of images, whose files are named; `first`: the id of the first class."""
    annotations = [
        {
            "id": 10 * number + place,
            "image_id": number,
            "category_id": CLASSES.index(label) + first,
            "bbox": [xmin, ymin, xmax - xmin, ymax - ymin],
            "area": (xmax - xmin) * (ymax - ymin),
            "segmentation": [],
            "iscrowd": 0,
        }
        for number, name in enumerate(files, 1)
        for place, (label, xmin, ymin, xmax, ymax) in enumerate(OBJECTS[name])
    ]
    images = [
        {"id": number, "file_name": file, "width": WIDTH, "height": HEIGHT, "license": 1}
        for number, file in enumerate(files.values(), 1)
    ]
    categories = [
        {"id": number, "name": label, "supercategory": "things"}
        for number, label in enumerate(CLASSES, first)
    ]
    if first == 1 and "root" in more:  # Roboflow begins with the class of all
        categories.insert(0, {"id": 0, "name": "things", "supercategory": "none"})
    return json.dumps(
        {
            "info": {"year": "2026", "description": "Exported"},
            "licenses": [{"id": 1, "name": "CC BY 4.0"}],
            "categories": categories,
            "images": images,
            "annotations": annotations,
        }
    )


def rows(path: Path, names: Iterable[str], suffix: str = ".jpg") -> None:
    """The CSV of the OD API's tutorials and of Roboflow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"])
        for name in names:
            for label, *sides in OBJECTS[name]:
                out.writerow([name + suffix, WIDTH, HEIGHT, label, *sides])


# Roboflow

RF = "_jpg.rf.0123456789abcdef"
ROBOFLOW = {"train": "abc", "valid": "de", "test": "f"}


def readme_of_roboflow(data: Path) -> None:
    write(data / "README.roboflow.txt", "digits - v1\nIt was exported via roboflow.com.\n")
    write(data / "README.dataset.txt", "# digits > 1\nhttps://example.com/digits\n")


def roboflow_coco(data: Path) -> None:
    readme_of_roboflow(data)
    for split, names in ROBOFLOW.items():
        for name in names:
            picture(data / split / f"{name}{RF}.jpg")
        files = {name: f"{name}{RF}.jpg" for name in names}
        write(data / split / "_annotations.coco.json", coco(files, root=True))


def roboflow_yolo(data: Path) -> None:
    readme_of_roboflow(data)
    for split, names in ROBOFLOW.items():
        for name in names:
            picture(data / split / "images" / f"{name}{RF}.jpg")
            write(data / split / "labels" / f"{name}{RF}.txt", lines(name).rstrip("\n"))
    write(
        data / "data.yaml",
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 3\n"
        f"names: {list(CLASSES)}\n\nroboflow:\n  workspace: me\n  project: digits\n  version: 1\n",
    )


def roboflow_voc(data: Path) -> None:
    readme_of_roboflow(data)
    for split, names in ROBOFLOW.items():
        for name in names:
            picture(data / split / f"{name}{RF}.jpg")
            write(data / split / f"{name}{RF}.xml", xml(name, f"{name}{RF}.jpg", ""))


def roboflow_csv(data: Path) -> None:
    readme_of_roboflow(data)
    for split, names in ROBOFLOW.items():
        for name in names:
            picture(data / split / f"{name}{RF}.jpg")
        rows(data / split / "_annotations.csv", names, f"{RF}.jpg")


def roboflow_records(data: Path) -> None:
    readme_of_roboflow(data)
    for split, names in ROBOFLOW.items():
        records(data / split / "digits.tfrecord", names)
        label_map(data / split / "digits_label_map.pbtxt")


def roboflow_keras(data: Path) -> None:
    """YOLO v3 Keras and YOLO v4 PyTorch."""
    readme_of_roboflow(data)
    for split, names in ROBOFLOW.items():
        for name in names:
            picture(data / split / f"{name}{RF}.jpg")
        boxes = {
            name: " ".join(f"{','.join(map(str, s))},{CLASSES.index(c)}" for c, *s in OBJECTS[name])
            for name in names
        }
        listed = "".join(f"{name}{RF}.jpg {boxes[name]}\n" for name in names)
        write(data / split / "_annotations.txt", listed)
        write(data / split / "_classes.txt", "".join(f"{label}\n" for label in CLASSES))


def roboflow_retinanet(data: Path) -> None:
    """Keras RetinaNet: no line of columns."""
    readme_of_roboflow(data)
    for split, names in ROBOFLOW.items():
        for name in names:
            picture(data / split / f"{name}{RF}.jpg")
        listed = [
            f"{name}{RF}.jpg,{','.join(map(str, sides))},{label}\n"
            for name in names
            for label, *sides in OBJECTS[name]
        ]
        write(data / split / "_annotations.csv", "".join(listed))
        write(data / split / "_classes.csv", "".join(f"{c},{n}\n" for n, c in enumerate(CLASSES)))


def roboflow_darknet(data: Path) -> None:
    readme_of_roboflow(data)
    for split, names in ROBOFLOW.items():
        for name in names:
            picture(data / split / f"{name}{RF}.jpg")
            write(data / split / f"{name}{RF}.txt", lines(name))
        write(data / split / "_darknet.labels", "\n".join(CLASSES))


def roboflow_createml(data: Path) -> None:
    readme_of_roboflow(data)
    for split, names in ROBOFLOW.items():
        for name in names:
            picture(data / split / f"{name}{RF}.jpg")
        images = [
            {"image": f"{name}{RF}.jpg", "annotations": [createml(*o) for o in OBJECTS[name]]}
            for name in names
        ]
        write(data / split / "_annotations.createml.json", json.dumps(images))


def createml(label: str, xmin: int, ymin: int, xmax: int, ymax: int) -> dict[str, object]:
    centre = {"x": (xmin + xmax) / 2, "y": (ymin + ymax) / 2}
    return {"label": label, "coordinates": {**centre, "width": xmax - xmin, "height": ymax - ymin}}


# Hugging Face, Make Sense, VIA


def hugging_face(data: Path) -> None:
    for split, names in {"train": "abc", "validation": "de", "test": "f"}.items():
        records = []
        for name in names:
            picture(data / split / f"{name}.jpg")
            boxes = [[x, y, right - x, low - y] for _, x, y, right, low in OBJECTS[name]]
            objects = {"bbox": boxes, "categories": [label for label, *_ in OBJECTS[name]]}
            records.append(json.dumps({"file_name": f"{name}.jpg", "objects": objects}))
        write(data / split / "metadata.jsonl", "\n".join(records) + "\n")


def make_sense_csv(data: Path) -> None:
    listed = []
    for name in ALL:
        picture(data / f"{name}.jpg")
        listed += [
            f"{label},{x},{y},{right - x},{low - y},{name}.jpg,{WIDTH},{HEIGHT}\n"
            for label, x, y, right, low in OBJECTS[name]
        ]
    write(data / "labels_my-project_2026-11-28.csv", "".join(listed))


def via_json(data: Path) -> None:
    images = {}
    for name in ALL:
        picture(data / f"{name}.jpg")
        regions = [
            {
                "shape_attributes": {
                    **{"name": "rect", "x": x, "y": y},
                    **{"width": right - x, "height": low - y},
                },
                "region_attributes": {"type": label},
            }
            for label, x, y, right, low in OBJECTS[name]
        ]
        entry = {"filename": f"{name}.jpg", "size": 9, "regions": regions, "file_attributes": {}}
        images[f"{name}.jpg9"] = entry
    write(data / "via_region_data.json", json.dumps(images))


# labelImg


def labelimg_voc(data: Path) -> None:
    for name in ALL:
        picture(data / f"{name}.jpg")
        write(data / f"{name}.xml", xml(name, f"{name}.jpg", data.name))


def labelimg_voc_apart(data: Path) -> None:
    for name in ALL:
        picture(data / "images" / f"{name}.jpg")
        write(data / "annotations" / f"{name}.xml", xml(name, f"{name}.jpg"))


def labelimg_yolo(data: Path) -> None:
    for name in ALL:
        picture(data / f"{name}.jpg")
        write(data / f"{name}.txt", lines(name))
    write(data / "classes.txt", "".join(f"{label}\n" for label in CLASSES))


# CVAT


def cvat_coco(data: Path) -> None:
    for name in ALL:
        picture(data / "images" / "default" / f"{name}.jpg")
    write(data / "annotations" / "instances_default.json", coco({n: f"{n}.jpg" for n in ALL}))


def cvat_coco_of_a_task(data: Path) -> None:
    for name in ALL:
        picture(data / "images" / f"{name}.jpg")
    write(data / "annotations" / "instances_default.json", coco({n: f"{n}.jpg" for n in ALL}))


def cvat_coco_with_subsets(data: Path) -> None:
    for subset, names in CVAT.items():
        for name in names:
            picture(data / "images" / subset / f"{name}.jpg")
        files = {name: f"{name}.jpg" for name in names}
        write(data / "annotations" / f"instances_{subset}.json", coco(files))


CVAT = {"Train": "abc", "Validation": "de", "Test": "f"}


def cvat_yolo(data: Path) -> None:
    for name in ALL:
        picture(data / "obj_train_data" / f"{name}.jpg")
        write(data / "obj_train_data" / f"{name}.txt", lines(name))
    write(data / "obj.names", "".join(f"{label}\n" for label in CLASSES))
    write(
        data / "obj.data",
        "classes = 3\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n",
    )
    write(data / "train.txt", "".join(f"data/obj_train_data/{name}.jpg\n" for name in ALL))


def cvat_yolo_with_subsets(data: Path) -> None:
    for subset, names in {"Train": "abc", "Validation": "de"}.items():
        for name in names:
            picture(data / f"obj_{subset}_data" / f"{name}.jpg")
            write(data / f"obj_{subset}_data" / f"{name}.txt", lines(name))
        listed = "".join(f"data/obj_{subset}_data/{name}.jpg\n" for name in names)
        write(data / f"{subset}.txt", listed)
    write(data / "obj.names", "".join(f"{label}\n" for label in CLASSES))
    write(
        data / "obj.data",
        "classes = 3\ntrain = data/Train.txt\nvalid = data/Validation.txt\nnames = data/obj.names\n"
        "backup = backup/\n",
    )


def cvat_xml(data: Path, subsets: dict[str, str] | None = None) -> None:
    found = []
    for subset, names in (subsets or {"": ALL}).items():
        for name in names:
            picture(data / "images" / subset / f"{name}.jpg")
            boxes = "".join(
                f'    <box label="{label}" source="manual" occluded="0" xtl="{xmin:.2f}" '
                f'ytl="{ymin:.2f}" xbr="{xmax:.2f}" ybr="{ymax:.2f}" z_order="0">\n    </box>\n'
                for label, xmin, ymin, xmax, ymax in OBJECTS[name]
            )
            of = f'subset="{subset}" task_id="7" ' if subset else ""
            found.append(
                f'  <image id="{len(found)}" name="{name}.jpg" {of}width="{WIDTH}" '
                f'height="{HEIGHT}">\n{boxes}  </image>\n'
            )
    labels = "".join(f"<label><name>{label}</name></label>" for label in CLASSES)
    write(
        data / "annotations.xml",
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta>'
        f"<task><id>7</id><mode>annotation</mode><labels>{labels}</labels></task>"
        f"<dumped>2026-11-27</dumped></meta>\n{''.join(found)}</annotations>\n",
    )


def cvat_xml_with_subsets(data: Path) -> None:
    cvat_xml(data, CVAT)


def cvat_voc(data: Path, subsets: dict[str, str] | None = None) -> None:
    for subset, names in (subsets or {"default": ALL}).items():
        for name in names:
            picture(data / "JPEGImages" / f"{name}.jpg")
            write(data / "Annotations" / f"{name}.xml", xml(name, f"{name}.jpg", ""))
        write(data / "ImageSets" / "Main" / f"{subset}.txt", "".join(f"{n}\n" for n in names))
    rows = "".join(f"{label}:1,2,3::\n" for label in ("background", *CLASSES))
    write(data / "labelmap.txt", f"# label:color_rgb:parts:actions\n{rows}")


def cvat_voc_with_subsets(data: Path) -> None:
    cvat_voc(data, CVAT)


def cvat_records(data: Path) -> None:
    records(data / "default.tfrecord", ALL)
    label_map(data / "label_map.pbtxt")


# Label Studio

LS = "1a2b3c4d-"


def label_studio_coco(data: Path) -> None:
    for name in ALL:
        picture(data / "images" / f"{LS}{name}.jpg")
    files = {name: f"images/{LS}{name}.jpg" for name in ALL}
    write(data / "result.json", coco(files, first=0))


def label_studio_coco_of_windows(data: Path) -> None:
    for name in ALL:
        picture(data / "images" / f"{LS}{name}.jpg")
    files = {name: f"images\\{LS}{name}.jpg" for name in ALL}
    write(data / "result.json", coco(files, first=0))


def label_studio_yolo(data: Path) -> None:
    for name in ALL:
        picture(data / "images" / f"{LS}{name}.jpg")
        write(data / "labels" / f"{LS}{name}.txt", lines(name))
    write(data / "classes.txt", "".join(f"{label}\n" for label in CLASSES))
    categories = [{"id": number, "name": label} for number, label in enumerate(CLASSES)]
    info = {"year": 2026, "version": "1.0", "contributor": "Label Studio"}
    write(data / "notes.json", json.dumps({"categories": categories, "info": info}))


def label_studio_json(data: Path) -> None:
    tasks = []
    for number, name in enumerate(ALL, 1):
        picture(data / "images" / f"{name}.jpg")
        regions = [
            {
                "id": f"r{place}",
                "type": "rectanglelabels",
                "from_name": "label",
                "to_name": "image",
                "origin": "manual",
                "original_width": WIDTH,
                "original_height": HEIGHT,
                "image_rotation": 0,
                "value": {
                    "x": 100 * xmin / WIDTH,
                    "y": 100 * ymin / HEIGHT,
                    "width": 100 * (xmax - xmin) / WIDTH,
                    "height": 100 * (ymax - ymin) / HEIGHT,
                    "rotation": 0,
                    "rectanglelabels": [label],
                },
            }
            for place, (label, xmin, ymin, xmax, ymax) in enumerate(OBJECTS[name])
        ]
        annotation = {"id": number, "was_cancelled": False, "result": regions}
        tasks.append(
            {
                "id": number,
                "annotations": [{**annotation, "created_at": "2026-11-27T10:00:00.0Z"}],
                "file_upload": f"{LS}{name}.jpg",
                "data": {"image": f"/data/upload/1/{LS}{name}.jpg"},
                "meta": {},
                "project": 1,
            }
        )
    write(data / "project-1-at-2026-11-27-10-00-1a2b3c4d.json", json.dumps(tasks))


def label_studio_voc(data: Path) -> None:
    for name in ALL:
        picture(data / "images" / f"{LS}{name}.jpg")
        write(data / "Annotations" / f"{LS}{name}.xml", xml(name, f"{LS}{name}.jpg"))


# LabelMe


def labelme(data: Path, names: str = ALL) -> None:
    for name in names:
        picture(data / f"{name}.jpg")
        shapes = [
            {
                "label": label,
                "points": [[xmin, ymin], [xmax, ymax]],
                "group_id": None,
                "description": "",
                "shape_type": "rectangle",
                "flags": {},
                "mask": None,
            }
            for label, xmin, ymin, xmax, ymax in OBJECTS[name]
        ]
        document = {
            "version": "5.5.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": f"{name}.jpg",
            "imageData": None,
            "imageHeight": HEIGHT,
            "imageWidth": WIDTH,
        }
        write(data / f"{name}.json", json.dumps(document, indent=2))


def labelme_in_splits(data: Path) -> None:
    for split, names in ROBOFLOW.items():
        labelme(data / split, names)


# The OD API and its tutorials

TUTORIAL = {"train": "abc", "test": "def"}


def records(path: Path, names: Iterable[str], first: int = 0) -> None:
    from classlift.data.formats.tfrecord import write_record

    classes = LabelMap(CLASSES)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as out:
        for name in names:
            image = path.parent / f"{name}.jpg"
            picture(image)
            encoded = image.read_bytes()
            image.unlink()
            row = {
                "image_id": f"{name}.jpg",
                "uri": f"{name}.jpg",
                "sha256": "",
                "width": WIDTH,
                "height": HEIGHT,
                "format": "JPEG",
                "unlabelled": [],
            }
            boxes = [
                {
                    "label": label,
                    **dict(zip(("xmin", "ymin", "xmax", "ymax"), map(float, sides), strict=True)),
                    "is_crowd": False,
                    "difficult": False,
                    "box_id": number,
                }
                for number, (label, *sides) in enumerate(OBJECTS[name], first)
            ]
            write_record(out, to_example(row, boxes, encoded, classes))


def label_map(path: Path) -> None:
    write(
        path,
        "".join(
            f"item {{\n  id: {number}\n  name: '{label}'\n}}\n\n"
            for number, label in enumerate(CLASSES, 1)
        ),
    )


def tutorial_voc(data: Path) -> None:
    for split, names in TUTORIAL.items():
        for name in names:
            picture(data / split / f"{name}.jpg")
            write(data / split / f"{name}.xml", xml(name, f"{name}.jpg", split))


def tutorial_voc_and_csv(data: Path) -> None:
    """`xml_to_csv.py` writes the tables above the folders."""
    tutorial_voc(data)
    for split, names in TUTORIAL.items():
        rows(data / f"{split}_labels.csv", names)


def tutorial_csv(data: Path) -> None:
    for split, names in TUTORIAL.items():
        for name in names:
            picture(data / "images" / f"{name}.jpg")
        rows(data / "data" / f"{split}_labels.csv", names)


def tutorial_records(data: Path) -> None:
    for split, names in TUTORIAL.items():
        records(data / f"{split}.record", names)
    label_map(data / "label_map.pbtxt")


def tutorial_three_records(data: Path) -> None:
    for split, names in {"train": "abc", "val": "de", "test": "f"}.items():
        records(data / f"{split}.record", names)
    label_map(data / "label_map.pbtxt")


def coco_records(data: Path) -> None:
    """As `create_coco_tf_record.py` shards them."""
    for split, names in {"train": "abc", "val": "de", "testdev": "f"}.items():
        for shard in range(2):
            path = data / f"coco_{split}.record-{shard:05d}-of-00002"
            records(path, names[shard::2])
    label_map(data / "label_map.pbtxt")


# Ultralytics


def ultralytics(data: Path) -> None:
    for split, names in {"train": "abc", "val": "de", "test": "f"}.items():
        for name in names:
            picture(data / "images" / split / f"{name}.jpg")
            write(data / "labels" / split / f"{name}.txt", lines(name))
        (data / "labels" / f"{split}.cache").write_bytes(b"\x93NUMPY")
    names_of = "".join(f"  {number}: {label}\n" for number, label in enumerate(CLASSES))
    write(
        data / "data.yaml",
        "path: ../datasets/digits  # dataset root dir\ntrain: images/train\nval: images/val\n"
        f"test:  # none\n\nnames:\n{names_of}",
    )


def ultralytics_in_folders_of_any_name(data: Path) -> None:
    """The splits of data.yaml alone."""
    for folder, names in {"batch1": "abc", "batch2": "de", "batch3": "f"}.items():
        for name in names:
            picture(data / folder / "images" / f"{name}.jpg")
            write(data / folder / "labels" / f"{name}.txt", lines(name))
    write(
        data / "data.yaml",
        "train: ../batch1/images\nval: ../batch2/images\ntest: ../batch3/images\n"
        f"nc: 3\nnames: {list(CLASSES)}\n",
    )


def ultralytics_without_test(data: Path) -> None:
    for split, names in {"train": "abc", "val": "def"}.items():
        for name in names:
            picture(data / split / "images" / f"{name}.jpg")
            write(data / split / "labels" / f"{name}.txt", lines(name))
    write(
        data / "digits.yaml",
        f"path: /datasets/digits\ntrain: train/images\nval: val/images\nnames: {list(CLASSES)}\n",
    )


def ultralytics_with_lists(data: Path) -> None:
    """As coco.yaml has them: a text file a split."""
    for name in ALL:
        picture(data / "images" / f"{name}.jpg")
        write(data / "labels" / f"{name}.txt", lines(name))
    for split, names in {"train": "abc", "val": "de", "test": "f"}.items():
        write(data / f"{split}.txt", "".join(f"./images/{name}.jpg\n" for name in names))
    write(
        data / "data.yaml",
        f"path: .\ntrain: train.txt\nval: val.txt\ntest: test.txt\nnames: {list(CLASSES)}\n",
    )


THREE = {"train": 3, "eval": 2, "test": 1}
TRAIN_AND_TEST = {"train": 3, "test": 3}
TRAIN_AND_VAL = {"train": 3, "eval": 3}
NONE: dict[str, int] = {}

EXPORTS: dict[Callable[[Path], None], dict[str, int]] = {
    roboflow_coco: THREE,
    roboflow_yolo: THREE,
    roboflow_voc: THREE,
    roboflow_csv: THREE,
    roboflow_records: THREE,
    roboflow_keras: THREE,
    roboflow_retinanet: THREE,
    roboflow_darknet: THREE,
    roboflow_createml: THREE,
    hugging_face: THREE,
    make_sense_csv: NONE,
    via_json: NONE,
    labelimg_voc: NONE,
    labelimg_voc_apart: NONE,
    labelimg_yolo: NONE,
    cvat_coco: NONE,
    cvat_coco_of_a_task: NONE,
    cvat_coco_with_subsets: THREE,
    cvat_yolo: NONE,
    cvat_yolo_with_subsets: {"train": 3, "eval": 2},
    cvat_xml: NONE,
    cvat_xml_with_subsets: THREE,
    cvat_voc: NONE,
    cvat_voc_with_subsets: THREE,
    cvat_records: NONE,
    label_studio_coco: NONE,
    label_studio_coco_of_windows: NONE,
    label_studio_yolo: NONE,
    label_studio_json: NONE,
    label_studio_voc: NONE,
    labelme: NONE,
    labelme_in_splits: THREE,
    tutorial_voc: TRAIN_AND_TEST,
    tutorial_voc_and_csv: TRAIN_AND_TEST,
    tutorial_csv: TRAIN_AND_TEST,
    tutorial_records: TRAIN_AND_TEST,
    tutorial_three_records: THREE,
    coco_records: THREE,
    ultralytics: THREE,
    ultralytics_in_folders_of_any_name: THREE,
    ultralytics_without_test: TRAIN_AND_VAL,
    ultralytics_with_lists: THREE,
}
"""The published splits of each, in images; none where the tool makes none."""


def run(name: str, *words: object) -> int:
    """A command, as the command line runs it."""
    command, parser = load(name), argparse.ArgumentParser()
    command.arguments(parser)
    return command.run(parser.parse_args([str(word) for word in words]))


def require_all(snapshot: Snapshot, export: Callable[[Path], None]) -> None:
    """All images and boxes of an export are there, in its own splits, and nothing is wrong."""
    assert [problem for problem in snapshot.image_problems() if problem.is_critical] == []
    names = ALL[: sum(EXPORTS[export].values()) or len(ALL)]
    assert snapshot.images.num_rows == len(names)
    sides = ("xmin", "ymin", "xmax", "ymax")
    assert sorted(
        (box["label"], *(round(box[side], 2) for side in sides))
        for box in snapshot.boxes.to_pylist()
    ) == sorted(box for name in names for box in OBJECTS[name])
    if EXPORTS[export]:
        assert Counter(snapshot.images["split"].to_pylist()) == EXPORTS[export]


@pytest.mark.unit
@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.__name__)
def test_an_export_is_read_and_gets_a_config(export, tmp_path):
    export(tmp_path / "data")
    snapshot = take_snapshot([Source(tmp_path / "data")])
    require_all(snapshot, export)
    if EXPORTS[export]:
        by_name = zip(*(snapshot.images[c].to_pylist() for c in ("image_id", "split")), strict=True)
        in_train = {Path(image_id).name for image_id, split in by_name if split == "train"}
        assert {name[0] for name in in_train} == set("abc")
    path = tmp_path / "digits.yaml"
    write_first_config(Start(MODEL, tmp_path / "data", target="8"), path)
    config = load_config(path)
    assert (config.defaults["target"], config.sources[0].path) == ("8", tmp_path / "data")


@pytest.mark.unit
@pytest.mark.parametrize("to", ["coco", "parquet", "tfrecord", "--fix"])
@pytest.mark.parametrize("export", [roboflow_coco, ultralytics, coco_records, cvat_voc])
def test_published_splits_outlive_a_copy(export, to, tmp_path):
    data, new = tmp_path / "data", tmp_path / "new"
    export(data)
    before = take_snapshot([Source(data)])
    assert before.is_published == bool(EXPORTS[export])
    if to == "--fix":
        repair(before, CLASSES, new)
    else:
        assert run("convert", data, new, "--to", to) == 0
    after = take_snapshot([Source(new)])
    assert after.is_published == before.is_published
    assert after.boxes.num_rows == before.boxes.num_rows
    if before.is_published:
        assert split_by_file(after) == split_by_file(before)


def split_by_file(snapshot) -> dict[str, str]:
    columns = (snapshot.images[c].to_pylist() for c in ("image_id", "split"))
    return {Path(image_id).name: split for image_id, split in zip(*columns, strict=True)}


@pytest.mark.pipeline
def test_the_commands(tmp_path, monkeypatch, capsys):
    """One of the exports from its folder to a compiled pipeline."""
    roboflow_yolo(tmp_path / "data")
    assert run("validate", tmp_path / "data", "--report", tmp_path / "report") == 0
    assert "6 images, 10 boxes, 0 critical findings" in capsys.readouterr().out
    path = tmp_path / "digits.yaml"
    words = ("--model", MODEL, "--data", tmp_path / "data", "--target", "8", "--config", path)
    assert run("init", *words) == 0
    monkeypatch.setenv("CLASSLIFT_COMPILED", str(tmp_path / "compiled"))
    assert run("compile", "--config", path) == 0
    assert (tmp_path / "compiled" / "digits" / "topology.json").is_file()


@pytest.mark.pipeline
def test_the_model_is_asked(tmp_path):
    """On noise the demo's model finds nothing with any precision."""
    roboflow_yolo(tmp_path / "data")
    assert recalls_on_eval(MODEL, take_snapshot([Source(tmp_path / "data")])) == {}
