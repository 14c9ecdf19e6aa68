"""All formats in: the real data sets when they are there, and small ones with every fault."""

import gzip
import io
import json
import os
import re
import struct
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from classlift.data.examples import _Example
from classlift.data.formats import detect_format, read_labels
from classlift.data.formats.tfrecord import _masked_crc
from classlift.data.image_files import RENAMED
from classlift.data.images import ABSENT, probe, probe_all
from classlift.data.label_map import LabelMap
from classlift.data.media import read_bytes
from classlift.data.shapes import ENCLOSED, KEY_POINTS
from classlift.data.snapshot import Source, fingerprint, take_snapshot
from classlift.errors import DataError

pytestmark = pytest.mark.unit
SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="the shared data sets are not here")


@needs_shared
@pytest.mark.parametrize(
    ("path", "images", "boxes"),
    [
        (
            "carla",
            1028,
            {
                "vehicle": 1375,
                "traffic_light": 2643,
                "bike": 181,
                "traffic_sign": 105,
                "motobike": 91,
            },
        ),
        ("hardhat", 181, {"Safety Helmet": 538, "No Safety Helmet": 130}),
        ("hardhat/val.record", 19, {"Safety Helmet": 50, "No Safety Helmet": 36}),
    ],
)
def test_real_data_sets(path, images, boxes):
    labels = read_labels(SHARED / path)
    assert len(labels.images) == images
    assert Counter(box.label for box in labels.boxes) == boxes
    image = Image.open(io.BytesIO(read_bytes(labels.images[-1].uri)))
    assert image.size == (labels.images[-1].width, labels.images[-1].height)


@needs_shared
@pytest.mark.parametrize("name", ["train", "val", "test", "trainval"])
def test_a_real_broken_export_is_refused(name):
    """CARLA's own COCO JSON repeats image ids and names files that do not exist."""
    with pytest.raises(DataError) as error:
        read_labels(SHARED / "carla" / "coco" / f"{name}.json")
    assert re.search(r"the id '\w+'.* stands more than once in images", str(error.value))
    assert "image files are not there" in str(error.value)


def picture(folder: Path, name: str = "a.jpg") -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise((40, 30), 50).convert("RGB").save(path)


OBJECT = (
    "<object><name>car</name><difficult>1</difficult><bndbox><xmin>1</xmin><ymin>2</ymin>"
    "<xmax>11.5</xmax><ymax>22</ymax></bndbox></object>"
)


SIZE = "<size><width>40</width><height>30</height></size>"


def voc(
    folder: Path, inner: str = OBJECT, name: str = "a.jpg", head: str = "", size: str = SIZE
) -> Path:
    picture(folder / "images")
    (folder / "Annotations").mkdir()
    text = f"{head}<annotation><filename>{name}</filename>{size}{inner}</annotation>"
    (folder / "Annotations" / "a.xml").write_text(text)
    return folder


def test_voc(tmp_path):
    labels = read_labels(voc(tmp_path / "data"))
    (box,) = labels.boxes
    assert (box.label, box.box, box.difficult) == ("car", (1.0, 2.0, 11.5, 22.0), True)
    assert box.source == "data/a.xml object 1"
    assert (labels.images[0].width, labels.images[0].height) == (40, 30)


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]>'
FILE_ENTITY = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"head": BOMB, "inner": "<x>&b;</x>"}, "defines a document type or entities"),
        ({"head": FILE_ENTITY, "inner": "<x>&a;</x>"}, "defines a document type or entities"),
        ({"inner": "<object>"}, "not valid XML"),
        ({"name": ""}, None),  # the image is called as the file
        ({"inner": "<size><width>wide</width></size>"}, None),  # the first size counts
        ({"inner": OBJECT.replace("<xmin>", "<xmin>0</xmin><xmin>")}, "more than one xmin"),
        ({"inner": OBJECT.replace("</object>", "<name>bus</name></object>")}, "more than one name"),
        ({"inner": OBJECT.replace("</bndbox>", "</bndbox>>")}, "bndbox, or text after it"),
        ({"size": "<size><width>3000000000</width></size>"}, "are no width or height"),
        ({"size": f"<size><width>{'9' * 5000}</width></size>"}, "is no whole number"),
    ],
)
def test_voc_refuses_with_a_sentence(tmp_path, parts, sentence):
    folder = voc(tmp_path / "data", **parts)
    if sentence is None:
        assert read_labels(folder).images[0].width == 40
        return
    with pytest.raises(DataError, match=sentence) as error:
        read_labels(folder)
    assert "a.xml" in str(error.value)


NAMES_OF_ANOTHER_MACHINE = [
    ("images/A.JPG", "images/a.jpg"),
    ("images\\a.jpg", "images/a.jpg"),
    ("images/caf\u00e9.jpg", "images/cafe\u0301.jpg"),
    ("pictures/a.jpg", "images/a.jpg"),
    ("../a.jpg", "images/a.jpg"),
    ("../../x/images/a.jpg", "images/a.jpg"),
    ("/home/me/a.jpg", "images/a.jpg"),
    ("C:\\me\\a.jpg", "images/a.jpg"),
    ("images/a.png", "images/a.jpg"),
    ("a.JPEG", "images/a.jpg"),
]


@pytest.mark.parametrize(("name", "file"), NAMES_OF_ANOTHER_MACHINE)
@pytest.mark.parametrize("format_name", ["voc", "coco", "parquet"])
def test_images_are_found_under_the_names_of_another_machine(tmp_path, format_name, name, file):
    folder = tmp_path / "data"
    if format_name == "voc":
        voc(folder, name=name)
        (folder / "images" / "a.jpg").unlink()
    elif format_name == "coco":
        folder.mkdir()
        document = {
            "images": [{"id": 1, "file_name": name, "width": 40, "height": 30}],
            "categories": [{"id": 1, "name": "car"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
        }
        (folder / "annotations.json").write_text(json.dumps(document))
    else:
        tables(folder, uri=[name, "1.jpg"])
    picture(folder, file)
    path = folder / "annotations.json" if format_name == "coco" else folder
    labels = read_labels(path)
    assert Path(labels.images[0].uri) == folder / file
    (remark,) = labels.remarks
    assert remark.problem == f"{RENAMED}: {name!r} is {Path(file).name!r}"
    assert labels.boxes[0].file_name == labels.images[0].file_name


@pytest.mark.parametrize("name", ["gone.jpg", "/etc/passwd", "../../gone.png", "gone"])
def test_voc_images_are_called_as_their_xml(tmp_path, name):
    folder = voc(tmp_path / "data", name=name)
    labels = read_labels(folder)
    assert Path(labels.images[0].uri) == folder / "images" / "a.jpg"
    assert [remark.problem for remark in labels.remarks] == [f"{RENAMED}: {name!r} is 'a.jpg'"]
    picture(folder / "masks", "a.png")  # is no image
    assert read_labels(folder).images == labels.images
    picture(folder / "other", "a.jpg")
    (image,) = read_labels(folder).images
    assert "there is no such file" in probe(image.uri).problem


@pytest.mark.parametrize("suffix", ["jpg", "PNG"])
def test_voc_names_may_lack_the_suffix(tmp_path, suffix):
    folder = voc(tmp_path / "data", name="b")
    picture(folder / "images", f"b.{suffix}")
    assert Path(read_labels(folder).images[0].uri) == folder / "images" / f"b.{suffix}"


def yolo(folder: Path, line: str = "1 0.5 0.5 0.25 0.2", names: str = "names: [car, bike]") -> Path:
    picture(folder / "images" / "train")
    picture(folder / "images" / "train", "empty.jpg")
    (folder / "labels" / "train").mkdir(parents=True)
    (folder / "labels" / "train" / "a.txt").write_text(line + "\n\n")
    (folder / "data.yaml").write_text(names)
    return folder


@pytest.mark.parametrize("line", ["1 0.5 0.5 0.25 0.2", " \t1  0.5\t0.5 0.25 .2 \r"])
@pytest.mark.parametrize("names", ["names: [car, bike]", "names: {0: car, 1: bike}"])
def test_yolo(tmp_path, names, line):
    labels = read_labels(yolo(tmp_path / "data", line=line, names=names))
    assert [image.file_name for image in labels.images] == [
        "images/train/a.jpg",
        "images/train/empty.jpg",
    ]
    (box,) = labels.boxes
    assert box.label == "bike"
    assert box.box == pytest.approx((15.0, 12.0, 25.0, 18.0))
    assert box.source == "data/labels/train/a.txt line 1"


@pytest.mark.parametrize(
    ("line", "box"),
    [
        ("1 0.1 0.2 0.5 0.1 0.4 0.9", (4.0, 3.0, 20.0, 27.0)),  # a triangle
        ("1 0.25 0.5 0.5 0.25 0.75 0.5 0.5 0.75", (10.0, 7.5, 30.0, 22.5)),  # a turned box
        ("1 0.5 0.5 0.5 0.1 0.9 0.5 0.5 0.9 0.1 0.5", (4.0, 3.0, 36.0, 27.0)),
        (f"1 0.1 0.2{' 0.5 0.1' * 5} 0.4 0.9", (4.0, 3.0, 20.0, 27.0)),  # 14 numbers, as KITTI has
        (f"1 0.1 0.2{' 0.5 0.1' * 9} 0.4 0.9", (4.0, 3.0, 20.0, 27.0)),
    ],
)
def test_yolo_polygons_are_enclosed_and_that_is_said(tmp_path, line, box):
    labels = read_labels(yolo(tmp_path / "data", line=f"{line}\n0 0.5 0.5 0.25 0.2"))
    assert labels.boxes[0].box == pytest.approx(box)
    assert labels.boxes[1].box == pytest.approx((15.0, 12.0, 25.0, 18.0))
    (remark,) = labels.remarks
    assert remark.problem == f"{ENCLOSED}: 1 polygon"
    assert detect_format(tmp_path / "data") == "yolo"
    assert (remark.severity, remark.source) == ("info", "data/labels/train/a.txt")


@pytest.mark.parametrize(("shape", "numbers"), [("[2, 3]", 6), ("[3, 2]", 6), ("[17, 3]", 51)])
def test_yolo_key_points_are_left_out_and_that_is_said(tmp_path, shape, numbers):
    points = " 0.9" * numbers
    names = f"names: [car, bike]\nkpt_shape: {shape}\nflip_idx: [1, 0]"
    lines = f"1 0.5 0.5 0.25 0.2{points}\n0 0.5 0.5 0.25 0.2"
    labels = read_labels(yolo(tmp_path / "data", line=lines, names=names))
    assert [box.label for box in labels.boxes] == ["bike", "car"]
    for box in labels.boxes:
        assert box.box == pytest.approx((15.0, 12.0, 25.0, 18.0))
    assert [remark.problem for remark in labels.remarks] == [f"{KEY_POINTS}: 1 pose"]


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"names": "names: [car, bike]\nkpt_shape: 17"}, "`kpt_shape` must be how many"),
        ({"names": "names: [car, bike]\nkpt_shape: [0, 3]"}, "`kpt_shape` must be how many"),
        (
            {
                "names": "names: [car, bike]\nkpt_shape: [2, 3]",
                "line": "1 0.5 0.5 0.25 0.2 0.9 0.1 0.2 0.9",
            },
            "or with 6 numbers of key points behind it",
        ),
        ({"line": "1 0.5 0.5 0.25 0.2 0.9"}, "line 1 must be"),
        ({"line": "1 0.5 0.5 0.25 0.2 0.9 0.1 0.2"}, "or `class x y x y x y ...` of a polygon"),
        ({"line": "one 0.5 0.5 0.25 0.2"}, "line 1 must be"),
        ({"names": "names: 3"}, "`names` must list the classes"),
        ({"names": "names: {0: car, two: bike}"}, "`names` must list the classes"),
        ({"names": "a: ["}, "not valid YAML"),
        ({"names": "names: [car, {a: 1}]"}, "class 1 needs a string or a number as its name"),
        ({"names": "names: [car]\nnames: [car, bike]"}, "the key 'names' stands twice"),
        ({"names": "names: {0: car, 0: bike}"}, "the key '0' stands twice"),
        ({"line": "1 0.5 0.5 0.25 0.2\u20281 0.5 0.5 0.2 0.2"}, "line 1 must be"),
        ({"line": "1 0.5 0.5 0.25 0.2\f1 0.5 0.5 0.2 0.2"}, "line 1 must be"),
        ({"line": "\u2028"}, "line 1 must be"),
        ({"line": "\u0661 0.5 0.5 0.25 0.2"}, "line 1 must be"),
    ],
)
def test_yolo_refuses_with_a_sentence(tmp_path, parts, sentence):
    with pytest.raises(DataError, match=sentence):
        read_labels(yolo(tmp_path / "data", **parts))


@pytest.mark.parametrize("suffix", ["bmp", "gif", "webp", "tif", "TIFF", "avif", "JPG", "heic"])
def test_yolo_images_of_any_kind_are_seen(tmp_path, suffix):
    folder = yolo(tmp_path / "data")
    images = folder / "images" / "train"
    (images / "a.jpg").rename(images / f"a.{suffix}")
    labels = read_labels(folder)
    assert [image.file_name for image in labels.images] == [
        f"images/train/a.{suffix}",
        "images/train/empty.jpg",
    ]
    assert labels.boxes[0].file_name == f"images/train/a.{suffix}"


def test_yolo_labels_without_their_image_are_critical(tmp_path):
    folder = yolo(tmp_path / "data")
    (folder / "labels" / "train" / "gone.txt").write_text("")
    (remark,) = read_labels(folder).remarks
    assert (remark.source, remark.severity) == ("data/labels/train/gone.txt", "critical")
    assert remark.problem.startswith(f"{ABSENT}: there is no image of this name below")
    (folder / "labels" / "train" / "a.txt").rename(folder / "labels" / "train" / "b.txt")
    with pytest.raises(DataError, match=r"no image is called as its labels are .* labels/train/b"):
        read_labels(folder)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        *((name, name) for name in ("no", "NO", "Yes", "010", "1e3", "null", "~", "0x1F", "1_000")),
        *((name, name) for name in ("1.50", "2024-13-45", "12:30", "true", ".inf")),
        ("'a b'", "a b"),
    ],
)
def test_yolo_names_are_what_is_written(tmp_path, written, name):
    for number, names in enumerate((f"[car, {written}]", f"\n  0: car\n  1: {written}")):
        labels = read_labels(yolo(tmp_path / str(number), names=f"names: {names}"))
        assert labels.boxes[0].label == name


def test_many_classes_are_read_at_once(tmp_path):
    names = "names: [" + ", ".join(f"c{number}" for number in range(30_000)) + "]"
    started = time.process_time()
    assert read_labels(yolo(tmp_path / "data", names=names)).boxes[0].label == "c1"
    assert time.process_time() - started < 5  # quadratic, it took ten


@pytest.mark.parametrize("file", ["data.yaml", "labels/train/a.txt", "images/train/a.jpg"])
@pytest.mark.parametrize("what", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_not_waited_for(tmp_path, file, what):
    folder = yolo(tmp_path / "data")
    (folder / file).unlink()
    what(folder / file)
    if file.endswith("jpg"):  # the snapshot says of each image what is wrong with it
        (problem,) = (facts.problem for _, facts in probe_all([str(folder / file)]))
        assert problem == "file can be read: it is no regular file"
        return
    with pytest.raises(DataError, match=r"must be a regular file|leaves the data folder"):
        read_labels(folder)


def test_a_link_to_labels_that_leads_nowhere(tmp_path):
    folder = yolo(tmp_path / "data")
    (folder / "labels" / "train" / "empty.txt").symlink_to("gone.txt")
    with pytest.raises(DataError, match=r"empty.txt: the link leads nowhere"):
        read_labels(folder)


def test_a_file_name_that_is_no_text(tmp_path):
    folder = yolo(tmp_path / "data")
    images = os.fsencode(folder / "images" / "train")
    os.rename(images + b"/empty.jpg", images + b"/caf\xe9.jpg")
    with pytest.raises(DataError, match=r"is not UTF-8; rename it"):
        read_labels(folder)


def record(path: Path, data: bytes, length: int | None = None) -> Path:
    """A TFRecord file of one record, whose header may lie about its length."""
    header = struct.pack("<Q", len(data) if length is None else length)
    crc = struct.pack("<I", _masked_crc(header))
    path.write_bytes(header + crc + data + struct.pack("<I", _masked_crc(data)))
    return path


@pytest.mark.parametrize("length", [(1 << 63) + 5, 1 << 50, (1 << 31) + 1, 101, 0])
def test_records_that_lie_about_their_length(tmp_path, length):
    path = record(tmp_path / "a.record", b"x" * 100, length)
    with pytest.raises(DataError, match=r"damaged or truncated|is no tf.Example|has no image/"):
        read_labels(path)


def features(**lists: Any) -> Any:
    """tf.train.Features, without TensorFlow; `__` stands for a slash."""
    message = _Example().features
    for name, value in lists.items():
        kind = message.feature[name.replace("__", "/")]
        if isinstance(value, bytes):
            kind.bytes_list.value.append(value)
        else:
            kind.int64_list.value.append(value)
    return message


def example(**lists: Any) -> bytes:
    return bytes(_Example(features=features(**lists)).SerializeToString(deterministic=True))


SIZED = {"image__height": 30, "image__width": 40, "image__filename": b"a.jpg"}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (example(**SIZED), "record 0 has no image/encoded: export the records with images"),
        (example(**SIZED, image__encoded=b""), "record 0 has no image/encoded: export"),
        (example(image_raw=b"x", label=3), "and is none of the OD API's: it has image_raw, label"),
        (b"", "and is none of the OD API's: it has nothing"),
        # A SequenceExample: its context is an Example's features, then come lists.
        (example(**SIZED) + b"\x12\x02\x0a\x00", "record 0 is a tf.SequenceExample"),
        (b"\x12\x02\x0a\x00", "record 0 is a tf.SequenceExample"),
    ],
)
def test_records_without_images(tmp_path, data, sentence):
    with pytest.raises(DataError, match=sentence):
        read_labels(record(tmp_path / "a.record", data))


def of_ids(folder: Path) -> Path:
    """A record whose one box has a class id and no name."""
    picture(folder)
    message = _Example(features=features(**SIZED, image__encoded=(folder / "a.jpg").read_bytes()))
    for name, side in (("xmin", 0.1), ("ymin", 0.2), ("xmax", 0.5), ("ymax", 0.6)):
        key = f"image/object/bbox/{name}"
        message.features.feature[key].float_list.value.append(side)
    message.features.feature["image/object/class/label"].int64_list.value.append(2)
    return record(folder / "a.record", message.SerializeToString())


@pytest.mark.parametrize("beside", [True, False])
def test_records_with_ids_alone_are_named_by_a_label_map(tmp_path, beside):
    path = of_ids(tmp_path / "data")
    (tmp_path / "maps").mkdir()
    names = tmp_path / ("data" if beside else "maps") / "label_map.pbtxt"
    LabelMap(("car", "bus")).write(names)
    source = Source(path, "train", label_map=None if beside else names)
    before = fingerprint([source])
    assert take_snapshot([source]).boxes["label"].to_pylist() == ["bus"]
    LabelMap(("car", "lorry")).write(names)
    assert fingerprint([source]) != before
    assert take_snapshot([source]).boxes["label"].to_pylist() == ["lorry"]


def test_records_with_ids_alone_and_no_label_map(tmp_path):
    with pytest.raises(DataError, match="class ids but no names; name their label map"):
        read_labels(of_ids(tmp_path / "data"))


def test_images_beside_the_folder_of_the_labels_are_part_of_the_source(tmp_path):
    """Labels in `annotations/`, images in `images/`: a changed image changes the fingerprint."""
    folder = tmp_path / "data"
    picture(folder / "images")
    (folder / "annotations").mkdir()
    path = folder / "annotations" / "train.csv"
    path.write_text("filename,class,xmin,ymin,xmax,ymax\na.jpg,car,1,2,11,22\n")
    assert Path(read_labels(path).images[0].uri) == folder / "images" / "a.jpg"
    before = fingerprint([Source(path)])
    with (folder / "images" / "a.jpg").open("ab") as file:
        file.write(b"x")
    assert fingerprint([Source(path)]) != before


def test_files_without_records(tmp_path):
    (tmp_path / "a.record").touch()
    with pytest.raises(DataError, match="there is no record in it"):
        read_labels(tmp_path / "a.record")


def tables(folder: Path, **columns: Any) -> Path:
    """images.parquet and boxes.parquet of two images and two boxes; columns replace some."""
    picture(folder, "0.jpg")
    picture(folder, "1.jpg")
    images = {"image_id": ["0", "1"], "uri": ["0.jpg", "1.jpg"]}
    corners = {"xmin": [1.0, 2.0], "ymin": [1.0, 2.0], "xmax": [5.0, 6.0], "ymax": [5.0, 6.0]}
    boxes = {"image_id": ["0", "1"], "label": ["car", "bike"], **corners}
    for table, name in ((images, "images"), (boxes, "boxes")):
        table |= {column: columns[column] for column in table if column in columns}
        pq.write_table(pa.table(table), folder / f"{name}.parquet")
    return folder


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"image_id": ["0", "0"]}, "row 1 has the image_id '0', as data/images.parquet row 0 has"),
        ({"label": ["car", "a" * 5000]}, "label has a text of more than 4096 bytes"),
        ({"label": pa.array([b"car", b"\xff"]).cast(pa.string(), safe=False)}, "can't be read"),
        ({"xmin": ["a", "b"]}, "the column 'xmin' must be float"),
    ],
)
def test_tables_that_are_refused(tmp_path, columns, sentence):
    with pytest.raises(DataError, match=sentence):
        read_labels(tables(tmp_path / "data", **columns))


def test_a_few_bytes_that_hold_any_number_of_rows(tmp_path):
    folder = tables(tmp_path / "data")
    many = 1_100_000
    label = pa.DictionaryArray.from_arrays(pa.array(np.zeros(many, np.int32)), ["0"])
    corners = dict.fromkeys(("xmin", "ymin", "xmax", "ymax"), np.ones(many, np.float32))
    pq.write_table(
        pa.table({"image_id": label, "label": label, **corners}), folder / "boxes.parquet"
    )
    with pytest.raises(DataError, match=r"has 1,100,000 rows, and at most 1,000,000 are read"):
        read_labels(folder)


@needs_shared
@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda data: data[:-100], "damaged or truncated"),
        (lambda data: data[:7], "damaged or truncated"),
        (lambda data: data[:500] + b"x" + data[501:], "damaged or truncated"),
        (lambda data: struct.pack("<Q", 1 << 60) + data[8:], "damaged or truncated"),
        (lambda _: b"no records at all", "damaged or truncated"),
    ],
)
def test_a_damaged_record_file_is_refused(tmp_path, damage, sentence):
    path = tmp_path / "val.record"
    path.write_bytes(damage((SHARED / "hardhat" / "val.record").read_bytes()))
    with pytest.raises(DataError, match=sentence):
        read_labels(path)


@pytest.mark.parametrize(
    ("name", "found"),
    [("x.json", "coco"), ("train.record", "tfrecord"), ("a.tfrecord-00000-of-00002", "tfrecord")],
)
def test_files_are_told_by_their_name(tmp_path, name, found):
    (tmp_path / name).touch()
    assert detect_format(tmp_path / name) == found


@pytest.mark.parametrize("name", ["labels.csv", "nothing", ".", "a" * 300, "a\0b"])
def test_what_is_no_format_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="no labels that can be read"):
        detect_format(tmp_path / name)


@pytest.mark.parametrize("name", ["a.record", "train.tfrecord.gz", "train-00000-of-00002.gz"])
def test_compressed_records_are_named(tmp_path, name):
    path = tmp_path / "data" / name
    path.parent.mkdir()
    path.write_bytes(gzip.compress(b"records"))
    for where in (path, path.parent):
        with pytest.raises(DataError, match=r"it is compressed \(gzip\): unpack it"):
            read_labels(where)
