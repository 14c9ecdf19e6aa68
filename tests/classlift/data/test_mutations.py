"""Damaged label files are read as what they say, or refused with one sentence.

Each format's files are damaged in some hundred ways: bits, bytes, cuts, repeats and nasty words;
and changed in their structure: what they are made of goes, comes twice, moves, or is something
else. What is read is compared with what another reader counts in the changed file.

`CLASSLIFT_MUTATIONS=2000` makes more of them.
"""

import csv as csv_module
import json
import os
import random
import re
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from lxml import etree
from PIL import Image

from classlift.data.examples import _Example, to_example
from classlift.data.formats import read_labels
from classlift.data.formats.kitti import DONT_CARE
from classlift.data.formats.tfrecord import write_record
from classlift.data.label_map import LabelMap
from classlift.data.unusable import UNREAD
from classlift.errors import DataError

pytestmark = pytest.mark.unit
CASES = int(os.environ.get("CLASSLIFT_MUTATIONS", "150"))
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


def keras_yolo(folder: Path) -> list[str]:
    lines = "".join(f"{i}.jpg 3,4,30,28,{i}\n" for i, _ in enumerate(NAMES))
    (folder / "_annotations.txt").write_text(lines)
    (folder / "_classes.txt").write_text("\n".join(NAMES) + "\n")
    return ["_annotations.txt"]


def hugging_face(folder: Path) -> list[str]:
    records = [
        {"file_name": f"{i}.jpg", "objects": {"bbox": [[3, 4, 27, 24.5]], "categories": [name]}}
        for i, name in enumerate(NAMES)
    ]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n")
    return ["metadata.jsonl"]


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
    "keras_yolo": keras_yolo,
    "hugging_face": hugging_face,
}
SINGLE = {
    **dict.fromkeys(("coco", "label_studio", "via", "createml"), "a.json"),
    **dict.fromkeys(("csv", "open_images"), "a.csv"),
    **{"tfrecord": "a.record", "cvat": "a.xml"},
    **{"keras_yolo": "_annotations.txt", "hugging_face": "metadata.jsonl"},
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


# Structures


ODD = [None, True, -1, 0, 1e308, 10**400, "", "0", "..", [], {}, [[]], {"x": 1}, "a", "\u0301"]


def walked(document: Any) -> list[Any]:
    """All lists and objects in a JSON document that hold something, the outermost first."""
    nodes: list[Any] = [document]
    for node in nodes:
        children = node.values() if isinstance(node, dict) else node
        nodes += [child for child in children if isinstance(child, dict | list) and child]
    return nodes


def reshaped_json(data: bytes, rng: random.Random) -> bytes:
    """A JSON document of which one part is gone, is there twice, or has another name or value."""
    document = json.loads(data)
    node = rng.choice(walked(document))
    key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
    value = node[key]
    match rng.randrange(4):
        case 0:
            node[key] = rng.choice(ODD)
        case 1:
            del node[key]
        case 2 if isinstance(node, list):
            node.insert(rng.randrange(len(node) + 1), json.loads(json.dumps(value)))
        case 2:
            node[rng.choice(["x", "label", "id", f"{key}s", "", f"{key} 2"])] = value
        case 3:
            del node[key]
            other = rng.choice(walked(document))
            if isinstance(other, list):
                other.append(value)
            else:
                other[rng.choice(["x", "label", "id", f"{key}s", str(key)])] = value
    return json.dumps(document).encode()


def reshaped_xml(data: bytes, rng: random.Random) -> bytes:
    """An XML document of which one element is gone, twice, elsewhere, or is called otherwise."""
    root = etree.fromstring(data)
    parents = [(parent, child) for parent in root.iter() for child in parent]
    parent, child = rng.choice(parents)
    match rng.randrange(6):
        case 0:
            parent.remove(child)
        case 1:
            parent.insert(rng.randrange(len(parent) + 1), etree.fromstring(etree.tostring(child)))
        case 2:
            child.tag = rng.choice(["x", child.tag.upper(), f"{child.tag}s", "object", "name"])
        case 3:
            child.text = rng.choice(["", "0", "-1", "nan", "1e400", "true", " cat ", "a b", "٣"])
        case 4 if child.attrib:
            key = rng.choice(list(child.attrib))
            value = child.attrib.pop(key)
            if rng.random() < 0.7:
                child.attrib[rng.choice([key, key, key.upper(), "x"])] = rng.choice(
                    [value, "", "0", "-1", "1", "nan", "1e400", "true"]
                )
        case _:
            parent.remove(child)
            rng.choice(list(root.iter())).append(child)
    return etree.tostring(root)


CELLS = ["", "0", "-1", "nan", "1e400", "a", '"', "0.jpg", "1.jpg", " 3", "3,4", "cat", "٣"]


def reshaped_lines(data: bytes, rng: random.Random, separator: str) -> bytes:
    """Lines of cells of which a line, a column or a cell is gone, twice, or is something else."""
    rows = [line.split(separator) for line in data.decode().strip("\n").split("\n")]
    row = rng.randrange(len(rows))
    cell = rng.randrange(len(rows[row]))
    match rng.randrange(7):
        case 0:
            del rows[row]
        case 1:
            rows.insert(rng.randrange(len(rows) + 1), list(rows[row]))
        case 2:
            rows[row][cell] = rng.choice(CELLS)
        case 3:
            del rows[row][cell]
        case 4:
            rows[row].insert(cell, rng.choice(CELLS))
        case 5:
            for found in rows:
                del found[cell : cell + 1]
        case 6:
            for found in rows:
                found.insert(rng.randrange(2) * cell, found[min(cell, len(found) - 1)])
    return ("\n".join(separator.join(found) for found in rows) + "\n").encode()


def reshaped_yaml(data: bytes, rng: random.Random) -> bytes:
    """A YAML document, changed as JSON is; classes as a list too."""
    document = yaml.safe_load(data)
    if rng.random() < 0.3:
        document["names"] = rng.choice([["cat"], ["cat", "cat"], ["dog", "cat"], ["a", "b", "c"]])
        return yaml.safe_dump(document).encode()
    changed = json.loads(reshaped_json(json.dumps(document).encode(), rng))
    return yaml.safe_dump(changed).encode()


def reshaped_table(path: Path, rng: random.Random) -> None:
    """A Parquet file of which a row or a column is gone, twice, empty, or of another type."""
    table = pq.read_table(path)
    names = table.column_names
    name = rng.choice(names)
    values = table[name].to_pylist()
    row = rng.randrange(len(values))
    match rng.randrange(7):
        case 0:
            table = table.drop_columns([name])
        case 1:
            kept = [n for n in range(table.num_rows) if n != row]
            table = table.take(kept)
        case 2:
            table = pa.concat_tables([table, table.slice(row, 1)])
        case 3:
            values[row] = None
            table = table.set_column(names.index(name), name, pa.array(values))
        case 4:
            texts = pa.array([str(value) for value in values])
            table = table.set_column(names.index(name), name, texts)
        case 5:
            odd = pa.array([rng.choice([0.0, -1.0, float("nan"), 1e308])] * len(values))
            table = table.set_column(names.index(name), name, odd)
        case 6:
            table = table.rename_columns([f"{n}s" if n == name else n for n in names])
    pq.write_table(table, path)


def masked(data: bytes) -> bytes:
    """The checksum of a record."""
    crc = google_crc32c.value(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def records_of(data: bytes) -> list[bytes]:
    """The records of a file whose checksums are not looked at."""
    found = []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        found.append(data[12 : 12 + length])
        data = data[16 + length :]
    return found


def reshaped_records(data: bytes, rng: random.Random) -> bytes:
    """Records of which one is gone or twice, or a feature is gone, longer, or of another type."""
    records = records_of(data)
    row = rng.randrange(len(records))
    example = _Example.FromString(records[row])
    feature = example.features.feature
    name = rng.choice([key for key in feature if key != "image/key/sha256"])
    kind = feature[name].WhichOneof("kind")
    match rng.randrange(7):
        case 0:
            del records[row]
        case 1:
            records.insert(0, records[row])
        case 2:
            del feature[name]
        case 3 if kind:
            values = getattr(feature[name], kind).value
            values.extend(list(values)[:1])
        case 4 if kind:
            del getattr(feature[name], kind).value[:]
        case 5:
            feature[name].Clear()
            feature[name].int64_list.value.extend([rng.choice([0, 1, -1, 2**62])])
        case 6:
            feature[name].Clear()
            feature[name].bytes_list.value.extend([rng.choice([b"", b"cat", b"\xff", b"0"])])
    if (row < len(records) and records[row] != records[0]) or len(records) == 2:
        records[row] = example.SerializeToString(deterministic=True)
    out = b""
    for record in records:
        length = struct.pack("<Q", len(record))
        out += length + masked(length) + record + masked(record)
    return out


def reshape(path: Path, rng: random.Random) -> None:
    """Changes the structure of a file, as its kind has one."""
    if path.suffix == ".parquet":
        reshaped_table(path, rng)
        return
    data = path.read_bytes()
    new = {
        ".json": reshaped_json,
        ".xml": reshaped_xml,
        ".csv": lambda data, rng: reshaped_lines(data, rng, ","),
        ".txt": lambda data, rng: reshaped_lines(data, rng, " "),
        ".yaml": reshaped_yaml,
        ".record": reshaped_records,
        ".jsonl": lambda data, rng: b"\n".join(
            [reshaped_json(data.split(b"\n")[0], rng), *data.split(b"\n")[1:]]
        ),
    }[path.suffix](data, rng)
    path.write_bytes(new)


# What another reader counts in a changed file


Counted = tuple[int | None, int | None]
"""Images and objects; None where that can't be said."""


def sized(value: Any) -> int:
    return len(value) if isinstance(value, list | dict) else 0


def parts(value: Any) -> list[Any]:
    """The values of a list or an object, of nothing else."""
    return list(value.values()) if isinstance(value, dict) else value if type(value) is list else []


def get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def json_of(path: Path) -> Any:
    return json.loads(path.read_text("utf-8-sig"))


def counted_labelme(folder: Path) -> Counted:
    files = [json_of(path) for path in sorted(folder.glob("*.json"))]
    return len(files), sum(sized(get(file, "shapes")) for file in files)


def counted_label_studio(folder: Path) -> Counted:
    tasks = parts(json_of(folder / "a.json"))
    results = [get(a, "result") for task in tasks for a in parts(get(task, "annotations"))]
    return len(tasks), sum(map(sized, results))


def counted_via(folder: Path) -> Counted:
    images = parts(get(json_of(folder / "a.json"), "_via_img_metadata"))
    return len(images), sum(sized(get(image, "regions")) for image in images)


def counted_createml(folder: Path) -> Counted:
    images = parts(json_of(folder / "a.json"))
    return len(images), sum(sized(get(image, "annotations")) for image in images)


def counted_coco(folder: Path) -> Counted:
    document = json_of(folder / "a.json")
    return sized(get(document, "images")), sized(get(document, "annotations"))


def counted_voc(folder: Path) -> Counted:
    files = [etree.parse(path).getroot() for path in folder.rglob("*.xml")]
    return len(files), sum(e.tag.lower() == "object" for file in files for e in file.iter("*"))


def counted_cvat(folder: Path) -> Counted:
    root = etree.parse(folder / "a.xml").getroot()
    boxes = [e for e in root.iter("box") if e.get("outside") not in ("1", "true")]
    return sum(1 for _ in root.iter("image")), len(boxes)


def counted_lines(folder: Path) -> Counted:
    """Files of lines say no more of themselves than how many they have."""
    texts = [path.read_text() for path in folder.glob("label*/*.txt")]
    return 2, sum(bool(line.strip()) for text in texts for line in text.splitlines())


def counted_rows(folder: Path) -> Counted:
    with (folder / "a.csv").open(encoding="utf-8-sig", newline="") as file:
        return None, sum(map(bool, csv_module.reader(file))) - 1


def counted_tables(folder: Path) -> Counted:
    images, boxes = (pq.read_table(folder / f"{name}.parquet") for name in ("images", "boxes"))
    return images.num_rows, boxes.num_rows


def counted_records(folder: Path) -> Counted:
    records = records_of((folder / "a.record").read_bytes())
    examples = [_Example.FromString(record).features.feature for record in records]
    sides = [len(f["image/object/bbox/xmin"].float_list.value) for f in examples]
    return len(records), sum(sides)


def counted_words(folder: Path) -> Counted:
    lines = (folder / "_annotations.txt").read_bytes().decode("utf-8-sig").split("\n")
    parts = [re.split(r"(?i)\.jpg(?:\s|$)", line, maxsplit=1) for line in lines if line.strip()]
    return len(parts), sum(len(words.split()) for _, *rest in parts for words in rest)


def counted_metadata(folder: Path) -> Counted:
    lines = (folder / "metadata.jsonl").read_text("utf-8-sig").split("\n")
    records = [json.loads(line) for line in lines if line.strip()]
    objects = [record["objects"] for record in records]
    return len(records), sum(len(o if isinstance(o, list) else o["bbox"]) for o in objects)


COUNTED: dict[str, Callable[[Path], Counted]] = {
    "coco": counted_coco,
    "voc": counted_voc,
    "yolo": counted_lines,
    "parquet": counted_tables,
    "tfrecord": counted_records,
    "labelme": counted_labelme,
    "label_studio": counted_label_studio,
    "via": counted_via,
    "createml": counted_createml,
    "cvat": counted_cvat,
    "kitti": counted_lines,
    "csv": counted_rows,
    "open_images": counted_rows,
    "keras_yolo": counted_words,
    "hugging_face": counted_metadata,
}


def require_counts(name: str, folder: Path, found: tuple[int, int], said: list[str]) -> None:
    """What was read is all that another reader counts, or it is said what is not."""
    ignored = sum(sentence.startswith(DONT_CARE) for sentence in said)
    is_said = len(said) > ignored and COUNTED[name] is not counted_lines
    try:
        counted = COUNTED[name](folder)
    except (ValueError, etree.XMLSyntaxError, UnicodeDecodeError, csv_module.Error, struct.error):
        counted = (2, 2)  # it can't be read by the letter: all that was there, or it is said
    expected = tuple(
        count if other is None else other for count, other in zip(found, counted, strict=True)
    )
    assert (found[0], found[1] + ignored) == expected or is_said, (found, counted, said)


def survive(name: str, folder: Path, cases: int, structure: bool = False) -> list[str]:
    """Reads damaged files; the sentences with which some were refused.

    What is read has all images and boxes that are in the file, or it is said which were left out.
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
        if structure:
            reshape(target, rng)
        else:
            target.write_bytes(damaged(target.read_bytes(), rng))
        started = time.monotonic()
        try:
            labels = read_labels(case / SINGLE.get(name, ""), name)
        except DataError as error:
            sentences.append(str(error))
        else:
            unread = [r.problem for r in labels.remarks if r.rule == UNREAD]
            sentences += unread
            if unread:  # of one image; what labels the other one is whole
                assert len(labels.boxes) == 1, target.read_bytes()
                continue
            found = len(labels.images), len(labels.boxes)
            try:
                require_counts(name, case, found, [r.problem for r in labels.remarks])
            except AssertionError as error:
                raise AssertionError(f"{target}: {target.read_bytes()[:2000]!r}: {error}") from None
        assert time.monotonic() - started < 10, target.read_bytes()
    return sentences


@pytest.mark.parametrize("structure", [False, True], ids=["bytes", "structure"])
@pytest.mark.parametrize("name", FORMATS)
def test_damage_is_refused_or_read_as_it_stands(tmp_path, name, structure):
    sentences = survive(name, tmp_path, CASES, structure)
    assert len(sentences) > CASES / (20 if structure else 4)
    assert all(sentence.isprintable() and len(sentence) <= 2000 for sentence in sentences)
