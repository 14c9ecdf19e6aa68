"""A corpus of bad data, and of odd data that are legal, through `classlift validate`.

Each case is a small data set in one format with one fault. Bad ones end with their sentence and
exit code 78; legal ones are read rightly and end with 0. None ends with a traceback.
"""

import io
import json
import os
import re
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from classlift import cli
from classlift.data.examples import to_example
from classlift.data.formats.tfrecord import write_record
from classlift.data.label_map import LabelMap

pytestmark = pytest.mark.pipeline
SIZE = (48, 36)
LABELS = LabelMap(("car", "bike"))
BOXES = [("car", (4.0, 5.0, 20.0, 25.0)), ("bike", (10.0, 8.0, 40.0, 30.0))]
Damage = Callable[[Path], Any]


def picture(seed: int = 0, size: tuple[int, int] = SIZE) -> Image.Image:
    """A smooth picture, each seed another one."""
    small = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


# One whole data set in each format: two images, each with a car and a bike.


def coco(folder: Path) -> Path:
    (folder / "images").mkdir(parents=True)
    for n in (1, 2):
        (folder / "images" / f"{n}.jpg").write_bytes(encoded(picture(n)))
    document = {
        "images": [
            {"id": n, "file_name": f"images/{n}.jpg", "width": SIZE[0], "height": SIZE[1]}
            for n in (1, 2)
        ],
        "categories": [{"id": i, "name": name} for i, name in enumerate(LABELS, 1)],
        "annotations": [
            {
                "id": 10 * n + i,
                "image_id": n,
                "category_id": i + 1,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
            }
            for n in (1, 2)
            for i, (_, (x0, y0, x1, y1)) in enumerate(BOXES)
        ],
    }
    (folder / "labels.json").write_text(json.dumps(document))
    return folder / "labels.json"


def voc(folder: Path) -> Path:
    (folder / "Annotations").mkdir(parents=True)
    (folder / "JPEGImages").mkdir()
    for n in (1, 2):
        (folder / "JPEGImages" / f"{n}.jpg").write_bytes(encoded(picture(n)))
        objects = "".join(
            f"<object><name>{name}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
            f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
            for name, (x0, y0, x1, y1) in BOXES
        )
        (folder / "Annotations" / f"{n}.xml").write_text(
            f"<annotation><filename>{n}.jpg</filename><size><width>{SIZE[0]}</width>"
            f"<height>{SIZE[1]}</height></size>{objects}</annotation>"
        )
    return folder


def yolo(folder: Path) -> Path:
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    for n in (1, 2):
        (folder / "images" / f"{n}.jpg").write_bytes(encoded(picture(n)))
        (folder / "labels" / f"{n}.txt").write_text("0 0.5 0.5 0.25 0.25\n1 0.4 0.4 0.5 0.5\n")
    (folder / "data.yaml").write_text("names: [car, bike]\n")
    return folder


def example(n: int, **changes: Any) -> bytes:
    """One Example; a change of None removes a feature."""
    tf = pytest.importorskip("tensorflow")
    image = {"format": "jpeg", "image_id": f"{n}.jpg", "sha256": "", "width": 48, "height": 36}
    rows = [
        dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True), label=name)
        | {"difficult": False, "is_crowd": False}
        for name, box in BOXES
    ]
    found = tf.train.Example.FromString(to_example(image, rows, encoded(picture(n)), LABELS))
    feature = found.features.feature
    for key, value in changes.items():
        name = key.replace("__", "/")
        del feature[name]
        if isinstance(value, bytes):
            feature[name].bytes_list.value.append(value)
        elif value is not None and value and isinstance(value[0], float):
            feature[name].float_list.value.extend(value)
        elif value is not None and value and isinstance(value[0], bytes):
            feature[name].bytes_list.value.extend(value)
        elif value is not None:
            feature[name].int64_list.value.extend(value)
    return found.SerializeToString()


def record(folder: Path) -> Path:
    folder.mkdir(parents=True)
    with (folder / "data.record").open("wb") as file:
        for n in (1, 2):
            write_record(file, example(n))
    return folder / "data.record"


def parquet(folder: Path) -> Path:
    (folder / "images").mkdir(parents=True)
    for n in (1, 2):
        (folder / "images" / f"{n}.jpg").write_bytes(encoded(picture(n)))
    write_tables(folder)
    return folder


def write_tables(folder: Path, images: Any = None, boxes: Any = None) -> None:
    """Both tables; arguments map columns to their values in all rows."""
    rows = [
        {"image_id": f"{n}", "uri": f"images/{n}.jpg", "width": 48, "height": 36} for n in (1, 2)
    ]
    found = [
        dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True), label=name, image_id=f"{n}")
        for n in (1, 2)
        for name, box in BOXES
    ]
    rows[0].update(images or {})
    found[0].update(boxes or {})
    pq.write_table(pa.Table.from_pylist(rows), folder / "images.parquet")
    pq.write_table(pa.Table.from_pylist(found), folder / "boxes.parquet")


WHOLE = {"coco": coco, "voc": voc, "yolo": yolo, "record": record, "parquet": parquet}


# Ways to damage them.


def edit(change: Callable[[dict], Any]) -> Damage:
    """Changes the COCO document."""

    def damage(path: Path) -> None:
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    return damage


def annotation(**values: Any) -> Damage:
    return edit(lambda d: d["annotations"][0].update(values))


def image(**values: Any) -> Damage:
    return edit(lambda d: d["images"][0].update(values))


def raw(data: bytes, name: str = "") -> Damage:
    """Replaces the labels, or a file beside them, with bytes."""
    return lambda path: (path / name if name else path).write_bytes(data)


def swap(old: str, new: str, name: str, encoding: str = "utf-8") -> Damage:
    """Replaces text in a file of the data set; `encoding` is of what is written."""

    def damage(path: Path) -> None:
        text = (path / name).read_text()
        assert old in text
        (path / name).write_bytes(text.replace(old, new, 1).encode(encoding))

    return damage


XML = "Annotations/1.xml"


def xml(old: str, new: str) -> Damage:
    return swap(old, new, XML)


def pixels(data: bytes) -> Damage:
    """Replaces an image of the VOC data set."""
    return raw(data, "JPEGImages/1.jpg")


def labels_say(width: int, height: int) -> Damage:
    def damage(path: Path) -> None:
        xml(
            "<width>48</width><height>36</height>",
            f"<width>{width}</width><height>{height}</height>",
        )(path)

    return damage


def both(*damages: Damage) -> Damage:
    def damage(path: Path) -> None:
        for one in damages:
            one(path)

    return damage


def link_out(name: str) -> Damage:
    """A link in the data set to a file outside of it."""

    def damage(path: Path) -> None:
        home = path if path.is_dir() else path.parent
        outside = home.parent / "secret.jpg"
        outside.write_bytes(encoded(picture(9)))
        (home / name).unlink()
        (home / name).symlink_to(outside)

    return damage


def records(*changes: dict[str, Any]) -> Damage:
    def damage(path: Path) -> None:
        with path.open("wb") as file:
            for n, change in enumerate(changes, start=1):
                write_record(file, example(n, **change))

    return damage


def no_example(path: Path) -> None:
    with path.open("wb") as file:
        write_record(file, b"\xff\xff\xff")


def cut(start: int | None, end: int | None) -> Damage:
    return lambda path: path.write_bytes(path.read_bytes()[start:end])


def flip(at: int) -> Damage:
    """Damages one byte."""

    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[at] ^= 0xFF
        path.write_bytes(bytes(data))

    return damage


def exif(orientation: int, size: tuple[int, int] = SIZE) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return encoded(picture(3, size), "JPEG", exif=tags)


def png_bomb(width: int, height: int) -> bytes:
    """A PNG that declares its size and holds almost nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 999))


ENTITY_BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefg", "bcdefgh", strict=True))
    + "]><annotation>"
)
FILE_ENTITY = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation>'
SIXTEEN = Image.fromarray(np.asarray(picture(1).convert("L")).astype(np.uint16) * 257)
WITH_MAP = ["--label-map"]

# (name, format, damage, sentence): the sentence is None where the data are legal.
CASES: list[tuple[str, str, Damage | None, str | None]] = [
    *((f"{name} as it should be", name, None, None) for name in WHOLE),
    # COCO JSON: the file
    ("coco: truncated", "coco", cut(0, -20), "not valid JSON"),
    ("coco: empty file", "coco", raw(b""), "not valid JSON"),
    ("coco: a list", "coco", raw(b"[]"), "the file must hold one object"),
    ("coco: no images", "coco", raw(b'{"categories": []}'), "no list 'images'"),
    ("coco: a string for a list", "coco", edit(lambda d: d.update(images="x")), "no list 'images'"),
    ("coco: nested too deeply", "coco", raw(b"[" * 100_000), "nested too deeply"),
    ("coco: UTF-16", "coco", raw('{"images": []}'.encode("utf-16")), "save it in UTF-8"),
    ("coco: Latin-1", "coco", raw('{"é": []}'.encode("latin-1")), "not a text file in UTF-8"),
    (
        "coco: a byte order mark is legal",
        "coco",
        lambda p: p.write_bytes(b"\xef\xbb\xbf" + p.read_bytes()),
        None,
    ),
    ("coco: empty lists", "coco", edit(lambda d: d.update(images=[], annotations=[])), "no images"),
    ("coco: no boxes", "coco", edit(lambda d: d.update(annotations=[])), "the data have no boxes"),
    # COCO JSON: records
    ("coco: image id repeats", "coco", image(id=2), "the id 2 stands more than once in images"),
    ("coco: box id repeats is legal", "coco", annotation(id=11), None),
    (
        "coco: class id repeats",
        "coco",
        edit(lambda d: d["categories"][0].update(id=2)),
        "the id 2 stands more than once in categories",
    ),
    ("coco: image without id", "coco", edit(lambda d: d["images"][0].pop("id")), r"images\[0\]"),
    ("coco: id is a truth value", "coco", image(id=True), r"images\[0\] needs a number"),
    ("coco: file name repeats", "coco", image(file_name="images/2.jpg"), "the file name 'images/2"),
    ("coco: no file name", "coco", image(file_name=""), "has no file_name"),
    ("coco: width as text is legal", "coco", image(width="48"), None),
    ("coco: width is a word", "coco", image(width="wide"), "no whole number of pixels"),
    ("coco: width zero is legal", "coco", image(width=0), None),
    ("coco: box of no image", "coco", annotation(image_id=7), "is of an image that is not"),
    ("coco: box of no class", "coco", annotation(category_id=7), "1 box names no class"),
    (
        "coco: class without a name",
        "coco",
        edit(lambda d: d["categories"][0].pop("name")),
        "1 box names no class|2 boxes name no class",
    ),
    (
        "coco: no bbox",
        "coco",
        edit(lambda d: d["annotations"][0].pop("bbox")),
        "1 box has no place",
    ),
    ("coco: bbox of three", "coco", annotation(bbox=[1, 2, 3]), "1 box has no place"),
    ("coco: bbox of text", "coco", annotation(bbox=[1, 2, 3, "four"]), "1 box has no place"),
    ("coco: bbox is NaN", "coco", annotation(bbox=[float("nan"), 2, 3, 4]), "1 box has no place"),
    (
        "coco: bbox is infinite",
        "coco",
        annotation(bbox=[1, 2, float("inf"), 4]),
        "1 box has no place",
    ),
    ("coco: bbox is huge", "coco", annotation(bbox=[1, 2, 10**400, 4]), "1 box has no place"),
    ("coco: bbox is reversed", "coco", annotation(bbox=[20, 2, -9, 4]), "1 box has no area"),
    ("coco: bbox without area", "coco", annotation(bbox=[5, 5, 0, 4]), "1 box has no area"),
    ("coco: bbox outside right", "coco", annotation(bbox=[40, 2, 30, 4]), "1 box leaves its image"),
    ("coco: bbox outside below", "coco", annotation(bbox=[4, 30, 3, 40]), "1 box leaves its image"),
    ("coco: bbox outside left", "coco", annotation(bbox=[-4, 2, 9, 4]), "1 box leaves its image"),
    # Paths
    ("path: absolute", "coco", image(file_name="/etc/passwd"), "1 image file is not there"),
    ("path: climbs out", "coco", image(file_name="../../x.jpg"), "1 image file is not there"),
    ("path: of another machine is legal", "coco", image(file_name="C:\\x\\1.jpg"), None),
    ("path: climbs to its file is legal", "coco", image(file_name="../images/1.jpg"), None),
    ("path: another suffix is legal", "coco", image(file_name="images/1.png"), None),
    ("path: link out", "coco", link_out("images/1.jpg"), "leaves the data folder"),
    ("path: a NUL", "coco", image(file_name="a\0b.jpg"), "is no path"),
    ("path: is not there", "coco", image(file_name="images/gone.jpg"), "there is no such file"),
    ("path: a folder", "coco", image(file_name="images"), "it is no regular file"),
    (
        "path: a pipe",
        "coco",
        lambda p: ((p.parent / "images/1.jpg").unlink(), os.mkfifo(p.parent / "images/1.jpg")),
        "it is no regular file",
    ),
    # Pascal VOC
    ("voc: entity bomb", "voc", xml("<annotation>", ENTITY_BOMB), "document type or entities"),
    ("voc: entity of a file", "voc", xml("<annotation>", FILE_ENTITY), "document type or entities"),
    ("voc: not XML", "voc", raw(b"no XML", XML), "not valid XML"),
    ("voc: empty file", "voc", raw(b"", XML), "not valid XML"),
    ("voc: truncated", "voc", xml("</annotation>", ""), "not valid XML"),
    ("voc: UTF-16 is legal", "voc", swap("1.jpg", "1.jpg", XML, "utf-16"), None),
    (
        "voc: a declared encoding is legal",
        "voc",
        swap(
            "<annotation>",
            '<?xml version="1.0" encoding="ISO-8859-1"?><annotation>é',
            XML,
            "latin-1",
        ),
        None,
    ),
    ("voc: undeclared encoding", "voc", swap("car", "cär", XML, "latin-1"), "not valid XML"),
    ("voc: no file name", "voc", xml("1.jpg", ""), None),
    (
        "voc: image is not there",
        "voc",
        lambda p: (p / "JPEGImages/1.jpg").unlink(),
        "1 image file is not there: there is no such file",
    ),
    ("voc: image called as its XML is legal", "voc", xml("1.jpg", "gone.jpg"), None),
    ("voc: another suffix is legal", "voc", xml("1.jpg", "1.png"), None),
    ("voc: image by two files", "voc", xml("1.jpg", "2.jpg"), "is listed 2 times"),
    ("voc: climbs to its file is legal", "voc", xml("1.jpg", "../../1.jpg"), None),
    ("voc: climbs out", "voc", xml("1.jpg", "../../etc/passwd"), None),
    ("voc: link out", "voc", link_out("JPEGImages/1.jpg"), "leaves the data folder"),
    ("voc: labels by a link out", "voc", link_out(XML), "leaves the data folder"),
    ("voc: no bndbox", "voc", xml("<xmin>4.0</xmin>", ""), "1 box has no place"),
    ("voc: side is a word", "voc", xml("4.0", "left"), "1 box has no place"),
    ("voc: side is NaN", "voc", xml("4.0", "nan"), "1 box has no place"),
    ("voc: reversed", "voc", xml("<xmin>4.0", "<xmin>44"), "1 box has no area"),
    (
        "voc: class without a name",
        "voc",
        xml("<name>car</name>", ""),
        "1 box names no class|2 boxes name no class",
    ),
    (
        "voc: class not in the label map",
        "voc",
        xml("car", "tram"),
        "not in the label map: label 'tram' in",
    ),
    ("voc: width is a word", "voc", labels_say("wide", 36), "is no whole number"),
    ("voc: another size", "voc", labels_say(36, 48), "claim: 36x48, and it is 48x36"),
    # YOLO
    ("yolo: four columns", "yolo", raw(b"0 0.5 0.5 0.2", "labels/1.txt"), "1 box has no place"),
    ("yolo: six columns", "yolo", raw(b"0 .5 .5 .2 .2 .9", "labels/1.txt"), "line 1 must be"),
    ("yolo: class is a word", "yolo", raw(b"car .5 .5 .2 .2", "labels/1.txt"), "line 1 must be"),
    ("yolo: unknown class", "yolo", raw(b"7 .5 .5 .2 .2", "labels/1.txt"), "line 1 of class 7"),
    ("yolo: negative class", "yolo", raw(b"-1 .5 .5 .2 .2", "labels/1.txt"), "line 1 of class -1"),
    ("yolo: outside", "yolo", raw(b"0 .9 .5 .5 .2", "labels/1.txt"), "1 box leaves its image"),
    ("yolo: NaN", "yolo", raw(b"0 nan .5 .5 .2", "labels/1.txt"), "1 box has no place"),
    ("yolo: not text", "yolo", raw(b"\xff\xfe\0", "labels/1.txt"), "not a text file in UTF-8"),
    (
        "yolo: a byte order mark is legal",
        "yolo",
        raw(b"\xef\xbb\xbf0 .5 .5 .2 .2", "labels/1.txt"),
        None,
    ),
    ("yolo: no labels are legal", "yolo", lambda p: (p / "labels/1.txt").unlink(), None),
    ("yolo: labels of no image", "yolo", raw(b"", "labels/9.txt"), "no image of this name"),
    (
        "yolo: two images of one name",
        "yolo",
        raw(b"", "images/1.png"),
        "'1.jpg' or '1.png'; give each",
    ),
    ("yolo: names without end", "yolo", raw(b"names: [", "data.yaml"), "not valid YAML"),
    (
        "yolo: names with a gap",
        "yolo",
        raw(b"names: {0: a, 2: b}", "data.yaml"),
        "line 2 of class 1, and the list numbers them from 0 to 2",
    ),
    (
        "yolo: a name twice",
        "yolo",
        raw(b"names: [a, a]", "data.yaml"),
        "'a' is named more than once",
    ),
    (
        "yolo: no names",
        "yolo",
        lambda p: (p / "data.yaml").unlink(),
        "names of the classes are mis",
    ),
    # TFRecord
    ("record: truncated in data", "record", cut(0, -9), "damaged or truncated"),
    ("record: truncated in a header", "record", cut(0, 7), "damaged or truncated"),
    ("record: a byte of a header", "record", flip(3), "damaged or truncated"),
    ("record: a byte of the data", "record", flip(500), "damaged or truncated"),
    ("record: empty file", "record", raw(b""), "there is no record in it"),
    (
        "record: no Example",
        "record",
        no_example,
        "no tf.Example",
    ),
    ("record: no width is legal", "record", records({"image__width": None}, {}), None),
    (
        "record: unequal lists",
        "record",
        records({"image__object__bbox__xmin": [0.1]}),
        "lists of one record have unequal lengths",
    ),
    (
        "record: too few flags",
        "record",
        records({"image__object__difficult": [0]}),
        "has 1 values for 2 boxes",
    ),
    (
        "record: class ids without names",
        "record",
        records({"image__object__class__text": None}),
        "or put label_map.pbtxt beside it",
    ),
    (
        "record: outside",
        "record",
        records({"image__object__bbox__xmax": [1.5, 0.9]}),
        "1 box leaves its image",
    ),
    (
        "record: no image",
        "record",
        records({"image__encoded": b""}),
        "record 0 has no image/encoded: export the records with images",
    ),
    (
        "record: one name twice",
        "record",
        records({}, {"image__source_id": b"1.jpg"}),
        "is listed 2 times",
    ),
    # Parquet
    ("parquet: no Parquet", "parquet", raw(b"PAR1", "images.parquet"), "table can't be read"),
    ("parquet: empty file", "parquet", raw(b"", "boxes.parquet"), "table can't be read"),
    (
        "parquet: column is missing",
        "parquet",
        lambda p: pq.write_table(pa.table({"image_id": ["1"]}), p / "images.parquet"),
        "the column 'uri' is missing",
    ),
    (
        "parquet: column of another kind",
        "parquet",
        lambda p: pq.write_table(
            pa.table(
                {
                    "image_id": ["1", "2"],
                    "uri": ["images/1.jpg", "images/2.jpg"],
                    "width": ["48", "wide"],
                }
            ),
            p / "images.parquet",
        ),
        "the width 'wide' is no whole number",
    ),
    ("parquet: no id", "parquet", lambda p: write_tables(p, {"image_id": None}), "has no image_id"),
    (
        "parquet: no class",
        "parquet",
        lambda p: write_tables(p, None, {"label": None}),
        "1 box names no class",
    ),
    (
        "parquet: no side",
        "parquet",
        lambda p: write_tables(p, None, {"ymax": None}),
        "1 box has no place",
    ),
    (
        "parquet: box of no image",
        "parquet",
        lambda p: write_tables(p, None, {"image_id": "7"}),
        "1 box is of an image that is not listed: image '7'",
    ),
    (
        "parquet: climbs out",
        "parquet",
        lambda p: write_tables(p, {"uri": "../x.jpg"}),
        "1 image file is not there",
    ),
    (
        "parquet: absolute",
        "parquet",
        lambda p: write_tables(p, {"uri": "/etc/passwd"}),
        "1 image file is not there",
    ),
    # Images
    ("image: truncated JPEG", "voc", pixels(encoded(picture())[:-200]), "can't be decoded whole"),
    ("image: truncated header", "voc", pixels(encoded(picture())[:30]), "can't be decoded"),
    ("image: truncated PNG", "voc", pixels(encoded(picture(), "PNG")[:-60]), "can't be decoded"),
    ("image: empty file", "voc", pixels(b""), "can't be decoded: it is empty"),
    ("image: text", "voc", pixels(b"<svg/>"), "no image that Pillow knows"),
    ("image: GIF is legal", "voc", pixels(encoded(picture(), "GIF")), None),
    ("image: BMP is legal", "voc", pixels(encoded(picture(), "BMP")), None),
    ("image: WebP is legal", "voc", pixels(encoded(picture(), "WEBP")), None),
    ("image: JPEG 2000", "voc", pixels(encoded(picture(), "JPEG2000")), "in a format that is not"),
    ("image: 100 megapixels", "voc", pixels(png_bomb(10_000, 10_000)), "50,000,000 pixels"),
    ("image: 10 gigapixels", "voc", pixels(png_bomb(100_000, 100_000)), "50,000,000 pixels"),
    (
        "image: turned, so are labels",
        "voc",
        pixels(exif(6, (36, 48))),
        "Exif orientation 6 turns it",
    ),
    # Legal, and read rightly
    ("image: PNG called .jpg", "voc", pixels(encoded(picture(), "PNG")), None),
    ("image: 16 bits", "voc", pixels(encoded(SIXTEEN, "PNG")), None),
    ("image: palette", "voc", pixels(encoded(picture().convert("P"), "PNG")), None),
    ("image: CMYK", "voc", pixels(encoded(picture().convert("CMYK"))), None),
    ("image: grey", "voc", pixels(encoded(picture().convert("L"))), None),
    ("image: transparent", "voc", pixels(encoded(picture().convert("RGBA"), "PNG")), None),
    ("image: progressive", "voc", pixels(encoded(picture(), progressive=True)), None),
    ("image: turned, labels as stored", "voc", pixels(exif(3)), None),
    ("image: the same file twice", "voc", pixels(encoded(picture(2))), None),
    ("box: labelled twice", "coco", annotation(bbox=[10, 8, 30, 22], category_id=2), None),
    ("box: half a pixel", "coco", annotation(bbox=[10, 8, 0.5, 9]), None),
]
# What legal data that deserve a word get.
WARNINGS = {
    "image: turned, labels as stored": "warning: 1 image is turned by Exif, which its labels do not follow: Exif orientation 3",
    **{
        f"image: {name} is legal": "info: 1 image is neither JPEG nor PNG, and is encoded anew"
        for name in ("GIF", "BMP", "WebP")
    },
    "image: the same file twice": "warning: 2 image files are there more than once",
    "box: labelled twice": "warning: 1 object is labelled twice",
    "box: half a pixel": "warning: 1 box is less than a pixel wide or high: xmin 10, ymin 8, xmax 10.5",
    "yolo: no labels are legal": "info: 1 image has no boxes",
}
LABEL_MAPS = [
    ("half an item", 'item { id: 1 name: "car" ', "not a label map of the OD API"),
    (
        "repeated id",
        'item { id: 1 name: "car" }\nitem { id: 1 name: "bike" }',
        "the id 1 more than once",
    ),
    ("repeated name", 'item { id: 1 name: "a" }\nitem { id: 2 name: "a" }', "'a' more than once"),
    ("no id", 'item { name: "car" }', "item 1 needs both"),
    ("no item", "# nothing", "has no item"),
    ("not text", "\udcff\udcfe", "not a text file in UTF-8"),
]


def classlift(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, *words: str
) -> tuple[int, str]:
    """Exit code and all output of the real command line, in this process."""
    monkeypatch.setattr(sys, "argv", ["classlift", *words])
    code = cli.main()
    captured = capsys.readouterr()
    return code, captured.out + captured.err


@pytest.mark.parametrize(
    ("name", "kind", "damage", "sentence"), CASES, ids=[case[0] for case in CASES]
)
def test_bad_data_get_their_sentence(tmp_path, monkeypatch, capsys, name, kind, damage, sentence):
    path = WHOLE[kind](tmp_path / "data")
    if damage:
        damage(path)
    words = ["validate", str(path), "--report", str(tmp_path / "report")]
    if "label map" in name:
        LABELS.write(tmp_path / "map.pbtxt")
        words += ["--label-map", str(tmp_path / "map.pbtxt")]
    code, said = classlift(monkeypatch, capsys, *words)
    assert "Traceback" not in said
    if sentence is None:
        assert code == 0, said
        assert "0 critical findings" in said
        warning = WARNINGS.get(name)
        assert warning in said if warning else "warning:" not in said, said
    else:
        assert code == 78, said
        assert re.search(sentence, said), said


@pytest.mark.parametrize(("name", "text", "sentence"), LABEL_MAPS, ids=[m[0] for m in LABEL_MAPS])
def test_bad_label_maps_get_their_sentence(tmp_path, monkeypatch, capsys, name, text, sentence):
    path = tmp_path / "map.pbtxt"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    data = voc(tmp_path / "data")
    words = ["validate", str(data), "--label-map", str(path), "--report", str(tmp_path / "r")]
    code, said = classlift(monkeypatch, capsys, *words)
    assert code == 78
    assert re.search(sentence, said), said


def test_the_corpus_is_large_enough():
    assert sum(sentence is not None for _, _, _, sentence in CASES) + len(LABEL_MAPS) >= 60
