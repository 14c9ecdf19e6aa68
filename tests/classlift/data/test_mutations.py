"""Damaged label files are read as what they say, or refused with one sentence.

Each format's files are damaged in some hundred ways: bits, bytes, cuts, repeats and nasty words.
"""

import json
import random
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from classlift.data.examples import to_example
from classlift.data.formats import read_labels
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


FORMATS = {"coco": coco, "voc": voc, "yolo": yolo, "parquet": parquet, "tfrecord": tfrecord}


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


def lines(folder: Path) -> int:
    """Objects that YOLO's label files name, which say of themselves no more than their lines."""
    files = (folder / "labels").glob("*.txt")
    return sum(bool(line.strip()) for file in files for line in file.read_text().splitlines())


@pytest.mark.parametrize("name", FORMATS)
def test_damage_is_refused_or_read_as_it_stands(tmp_path, name):
    rng = random.Random(name)
    base, case = tmp_path / "base", tmp_path / "case"
    base.mkdir()
    for i in (0, 1):
        Image.effect_noise((40, 30), 50 + i).convert("RGB").save(base / f"{i}.jpg")
    files = FORMATS[name](base)
    sentences = []
    for _ in range(CASES):
        shutil.rmtree(case, ignore_errors=True)
        shutil.copytree(base, case)
        target = case / rng.choice(files)
        target.write_bytes(damaged(target.read_bytes(), rng))
        path = {"coco": case / "a.json", "tfrecord": case / "a.record"}.get(name, case)
        try:
            labels = read_labels(path, name)
        except DataError as error:
            sentences.append(str(error))
        else:
            expected = lines(case) if name == "yolo" else 2
            assert (len(labels.images), len(labels.boxes)) == (2, expected), target.read_bytes()
    assert len(sentences) > CASES / 2
    assert all(sentence.isprintable() and len(sentence) <= 2000 for sentence in sentences)
