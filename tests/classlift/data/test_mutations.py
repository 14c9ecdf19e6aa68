"""Damaged label files are read as what they say, or refused with one sentence.

Each format's files are damaged in some hundred ways: bits, bytes, cuts, repeats and nasty words.
"""

import copy
import json
import random
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from classlift.data.examples import to_example
from classlift.data.formats import read_labels
from classlift.data.formats.kitti import DONT_CARE
from classlift.data.formats.tfrecord import write_record
from classlift.data.label_map import LabelMap
from classlift.errors import DataError

pytestmark = pytest.mark.unit
CASES = 150
WORDS = [
    *(b"null", b"NaN", b"-Infinity", b"1e308", b"1e400", b"-1", b"0", b"3000000000", b"9" * 5000),
    *(b'"\\ud800"', b'"\\u0000"', b'"../../etc/passwd"', b'"\\u001b[31m"', b"[]", b"{}", b"true"),
    *(
        b"[" * 2000,
        b"\xff\xfe",
        b"\x00",
        b"&lt;",
        b"<!DOCTYPE a>",
        b"]]>",
        b"'",
        b'"',
        b"\\",
        b"*a",
    ),
    *(b"&a [1]", b"!!int ''", b"1_0", "٣".encode(), b"0x10", b"\n", b"\r", "\u2028".encode(), b""),
]
CORNERS = {"xmin": 3.0, "ymin": 4.0, "xmax": 30.0, "ymax": 28.0}


def coco(folder: Path) -> list[str]:
    corners = [{"bbox": [3, 4, 27, 24.5], "image_id": i, "category_id": 1 + i} for i in (0, 1)]
    document = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 40, "height": 30} for i in (0, 1)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [{"id": i, **box} for i, box in enumerate(corners)],
    }
    (folder / "a.json").write_text(json.dumps(document))
    return ["a.json"]


def voc(folder: Path) -> list[str]:
    (folder / "Annotations").mkdir()
    sides = "".join(f"<{side}>{value}</{side}>" for side, value in CORNERS.items())
    for i, name in enumerate(("cat", "dog")):
        found = f"<object><name>{name}</name><bndbox>{sides}</bndbox></object>"
        size = "<size><width>40</width><height>30</height></size>"
        text = f"<annotation><filename>{i}.jpg</filename>{size}{found}</annotation>"
        (folder / "Annotations" / f"{i}.xml").write_text(text)
    return ["Annotations/0.xml"]


def yolo(folder: Path) -> list[str]:
    for name in ("images", "labels"):
        (folder / name).mkdir()
    (folder / "data.yaml").write_text("path: .\nnames:\n  0: cat\n  1: dog\n")
    for i in (0, 1):
        shutil.move(folder / f"{i}.jpg", folder / "images")
        (folder / "labels" / f"{i}.txt").write_text(f"{i} 0.4 0.5 0.2 0.3\n")
    return ["data.yaml", "labels/0.txt"]


def parquet(folder: Path) -> list[str]:
    images = {"image_id": ["0", "1"], "uri": ["0.jpg", "1.jpg"]}
    boxes = {"image_id": ["0", "1"], "label": ["cat", "dog"]}
    boxes |= {side: [value, value] for side, value in CORNERS.items()}
    for name, table in (("images", images), ("boxes", boxes)):
        pq.write_table(pa.table(table), folder / f"{name}.parquet", write_page_checksum=True)
    return ["images.parquet", "boxes.parquet"]


def tfrecord(folder: Path) -> list[str]:
    with (folder / "a.record").open("wb") as out:
        for i, name in enumerate(("cat", "dog")):
            image = {"image_id": f"{i}", "sha256": "", "format": "jpeg", "width": 40, "height": 30}
            box = {"label": name, **CORNERS, "is_crowd": False, "difficult": False}
            data = (folder / f"{i}.jpg").read_bytes()
            write_record(out, to_example(image, [box], data, LabelMap(("cat", "dog"))))
    return ["a.record"]


RECT = [CORNERS["xmin"], CORNERS["ymin"], CORNERS["xmax"], CORNERS["ymax"]]
NAMES = ("cat", "dog")


def labelme(folder: Path) -> list[str]:
    for i, name in enumerate(NAMES):
        shape = {"label": name, "points": [RECT[:2], RECT[2:]], "shape_type": "rectangle"}
        shape |= {"group_id": None, "flags": {}}
        size = {"imageWidth": 40, "imageHeight": 30, "imageData": None}
        document = {"version": "5.4.1", "flags": {}, "shapes": [shape], "imagePath": f"{i}.jpg"}
        (folder / f"{i}.json").write_text(json.dumps({**document, **size}))
    return ["0.json"]


def label_studio(folder: Path) -> list[str]:
    place = {"x": 10, "y": 20, "width": 50, "height": 60.5, "rotation": 0}
    size = {"original_width": 40, "original_height": 30, "image_rotation": 0}
    tasks = [
        {
            "id": i,
            "annotations": [
                {
                    "id": i,
                    "was_cancelled": False,
                    "result": [
                        {
                            "id": f"r{i}",
                            "type": "rectanglelabels",
                            **size,
                            "value": {**place, "rectanglelabels": [name]},
                        }
                    ],
                }
            ],
            "data": {"image": f"/data/upload/1/{i}.jpg"},
        }
        for i, name in enumerate(NAMES)
    ]
    (folder / "a.json").write_text(json.dumps(tasks))
    return ["a.json"]


def via(folder: Path) -> list[str]:
    rect = {"name": "rect", "x": 3, "y": 4, "width": 27, "height": 24.5}
    images = {
        f"{i}.jpg9": {
            "filename": f"{i}.jpg",
            "size": 9,
            "regions": [{"shape_attributes": rect, "region_attributes": {"class": name}}],
            "file_attributes": {},
        }
        for i, name in enumerate(NAMES)
    }
    document = {"_via_settings": {}, "_via_img_metadata": images, "_via_attributes": {}}
    (folder / "a.json").write_text(json.dumps(document))
    return ["a.json"]


def createml(folder: Path) -> list[str]:
    place = {"x": 16.5, "y": 16, "width": 27, "height": 24}
    images = [
        {"image": f"{i}.jpg", "annotations": [{"label": name, "coordinates": place}]}
        for i, name in enumerate(NAMES)
    ]
    (folder / "a.json").write_text(json.dumps(images))
    return ["a.json"]


def cvat(folder: Path) -> list[str]:
    sides = 'xtl="3.00" ytl="4.00" xbr="30.00" ybr="28.50"'
    images = "".join(
        f'<image id="{i}" name="{i}.jpg" width="40" height="30">'
        f'<box label="{name}" occluded="0" outside="0" {sides} z_order="0"></box></image>'
        for i, name in enumerate(NAMES)
    )
    text = f"<annotations><version>1.1</version><meta></meta>{images}</annotations>"
    (folder / "a.xml").write_text(text)
    return ["a.xml"]


def kitti(folder: Path) -> list[str]:
    for name in ("image_2", "label_2"):
        (folder / name).mkdir()
    for i, name in enumerate(NAMES):
        shutil.move(folder / f"{i}.jpg", folder / "image_2")
        line = f"{name} 0.00 0 -1.58 3.0 4.0 30.0 28.5 1.65 1.67 3.64 -0.65 1.71 46.7 -1.59\n"
        (folder / "label_2" / f"{i}.txt").write_text(line)
    return ["label_2/0.txt"]


def csv(folder: Path) -> list[str]:
    rows = [f"{i}.jpg,40,30,{name},3,4,30,28.5" for i, name in enumerate(NAMES)]
    head = "filename,width,height,class,xmin,ymin,xmax,ymax"
    (folder / "a.csv").write_text("\n".join([head, *rows]) + "\n")
    return ["a.csv"]


def open_images(folder: Path) -> list[str]:
    head = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf"
    rows = [f"{i},xclick,/m/0{i},1,0.1,0.7,0.2,0.9,0,0" for i, _ in enumerate(NAMES)]
    (folder / "a.csv").write_text("\n".join([head, *rows]) + "\n")
    names = "".join(f"/m/0{i},{name}\n" for i, name in enumerate(NAMES))
    (folder / "class-descriptions.csv").write_text(names)
    return ["a.csv", "class-descriptions.csv"]


FORMATS = {
    "coco": coco,
    "voc": voc,
    "yolo": yolo,
    "parquet": parquet,
    "tfrecord": tfrecord,
    "labelme": labelme,
    "label_studio": label_studio,
    "via": via,
    "createml": createml,
    "cvat": cvat,
    "kitti": kitti,
    "csv": csv,
    "open_images": open_images,
}
SINGLE = {
    **dict.fromkeys(("coco", "label_studio", "via", "createml"), "a.json"),
    **dict.fromkeys(("csv", "open_images"), "a.csv"),
    **{"tfrecord": "a.record", "cvat": "a.xml"},
}
"""The formats whose path is a file."""


def damaged(data: bytes, rng: random.Random) -> bytes:
    """One to three faults."""
    found = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 3])):
        start = rng.randrange(len(found) + 1)
        end = min(len(found), start + rng.choice([1, 4, 30]))
        numbers = list(re.finditer(rb'-?\d+(\.\d+)?|"[^"]*"', found))
        match rng.randrange(6):
            case 0 if start < len(found):
                found[start] ^= 1 << rng.randrange(8)
            case 1:
                del found[start:end]
            case 2:
                found[start:start] = found[start:end]
            case 3:
                found[start:end] = rng.choice(WORDS)
            case 4:
                del found[start:]
            case 5 if numbers:
                number = rng.choice(numbers)
                found[number.start() : number.end()] = rng.choice(WORDS)
    return bytes(found)


def reshaped(document: Any, rng: random.Random) -> bytes:
    """A JSON document with a key that is gone, or has another name or value."""
    found = copy.deepcopy(document)
    nodes: list[Any] = [found]
    for node in nodes:
        children = node.values() if isinstance(node, dict) else node
        nodes += [child for child in children if isinstance(child, dict | list) and child]
    node = rng.choice(nodes)
    key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
    if isinstance(node, dict) and ".jpg" not in key and rng.random() < 0.5:
        value = node.pop(key)
        if rng.random() < 0.5:
            node[rng.choice(["x", "label", "id", f"{key}s", ""])] = value
    else:
        node[key] = rng.choice([None, True, -1, 1e308, 10**400, "", "0", "..", [[]], {"x": 1}, "a"])
    return json.dumps(found).encode()


def lines(folder: Path) -> int | None:
    """Objects that the lines of label files name, which say of themselves no more; None of none."""
    texts = [*folder.glob("label*/*.txt")]
    if not texts and not (folder / "a.csv").exists():
        return None
    rows = sum(bool(line.strip()) for file in texts for line in file.read_text().splitlines())
    if (folder / "a.csv").exists():
        rows = sum(map(bool, (folder / "a.csv").read_text("utf-8-sig").split("\n"))) - 1
    return rows


def survive(name: str, folder: Path, cases: int, structure: bool = False) -> list[str]:
    """Reads damaged files; the sentences with which some were refused.

    What is read has all images and boxes, or it is said which were left out. A file of lines says
    no more of itself than how many it has.
    """
    rng = random.Random(f"{name} {structure}")
    base, case = folder / "base", folder / "case"
    base.mkdir()
    for i in (0, 1):
        Image.effect_noise((40, 30), 50 + i).convert("RGB").save(base / f"{i}.jpg")
    files = FORMATS[name](base)
    sentences = []
    for _ in range(cases):
        shutil.rmtree(case, ignore_errors=True)
        shutil.copytree(base, case)
        target = case / rng.choice(files)
        data = target.read_bytes()
        new = reshaped(json.loads(data), rng) if structure else damaged(data, rng)
        target.write_bytes(new)
        started = time.monotonic()
        try:
            labels = read_labels(case / SINGLE.get(name, ""), name)
        except DataError as error:
            sentences.append(str(error))
        else:
            expected = lines(case)
            found = len(labels.images), len(labels.boxes)
            if expected is None:
                assert found == (2, 2) or labels.remarks, new
            else:
                ignored = sum(remark.problem.startswith(DONT_CARE) for remark in labels.remarks)
                assert len(labels.boxes) + ignored == expected, new
        assert time.monotonic() - started < 10, new
    return sentences


@pytest.mark.parametrize("name", FORMATS)
def test_damage_is_refused_or_read_as_it_stands(tmp_path, name):
    sentences = survive(name, tmp_path, CASES)
    assert len(sentences) > CASES / 4
    assert all(sentence.isprintable() and len(sentence) <= 2000 for sentence in sentences)


@pytest.mark.parametrize("name", ["coco", "labelme", "label_studio", "via", "createml"])
def test_other_structures_are_refused_or_read_as_they_stand(tmp_path, name):
    sentences = survive(name, tmp_path, CASES, structure=True)
    assert len(sentences) > CASES / 8
    assert all(sentence.isprintable() and len(sentence) <= 2000 for sentence in sentences)
