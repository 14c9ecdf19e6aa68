"""All formats in: the real data sets when they are there, and small ones with every fault."""

import io
import re
import struct
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from components.dataset.formats import detect_format, read_labels
from components.dataset.media import read_bytes
from components.errors import DataError

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


def voc(folder: Path, inner: str = OBJECT, name: str = "a.jpg", head: str = "") -> Path:
    picture(folder / "images")
    (folder / "Annotations").mkdir()
    size = "<size><width>40</width><height>30</height></size>"
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
        ({"inner": "<object><name>car</name></object>"}, "needs a bndbox with four numbers"),
        ({"inner": OBJECT.replace("11.5", "wide")}, "needs a bndbox with four numbers"),
        ({"name": ""}, "names no image file"),
        ({"name": "gone.jpg"}, "its image 'gone.jpg' is in none of"),
        ({"name": "../../a.jpg"}, "leaves the data folder"),
        ({"name": "/etc/passwd"}, "leaves the data folder"),
        ({"inner": "<size><width>wide</width></size>"}, None),  # the first size counts
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


def yolo(folder: Path, line: str = "1 0.5 0.5 0.25 0.2", names: str = "names: [car, bike]") -> Path:
    picture(folder / "images" / "train")
    picture(folder / "images" / "train", "empty.jpg")
    (folder / "labels" / "train").mkdir(parents=True)
    (folder / "labels" / "train" / "a.txt").write_text(line + "\n\n")
    (folder / "data.yaml").write_text(names)
    return folder


@pytest.mark.parametrize("names", ["names: [car, bike]", "names: {0: car, 1: bike}"])
def test_yolo(tmp_path, names):
    labels = read_labels(yolo(tmp_path / "data", names=names))
    assert [image.file_name for image in labels.images] == [
        "images/train/a.jpg",
        "images/train/empty.jpg",
    ]
    (box,) = labels.boxes
    assert box.label == "bike"
    assert box.box == pytest.approx((15.0, 12.0, 25.0, 18.0))
    assert box.source == "data/labels/train/a.txt line 1"


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"line": "1 0.5 0.5 0.25"}, "line 1 must be `class x y width height`"),
        ({"line": "1 0.5 0.5 0.25 0.2 0.9"}, "line 1 must be"),
        ({"line": "one 0.5 0.5 0.25 0.2"}, "line 1 must be"),
        ({"line": "2 0.5 0.5 0.25 0.2"}, "has the class 2, which has no name"),
        ({"line": "-1 0.5 0.5 0.25 0.2"}, "has the class -1, which has no name"),
        ({"names": "names: 3"}, "`names` must list the classes"),
        ({"names": "names: {0: car, 2: bike}"}, "`names` must list the classes"),
        ({"names": "a: ["}, "not valid YAML"),
    ],
)
def test_yolo_refuses_with_a_sentence(tmp_path, parts, sentence):
    with pytest.raises(DataError, match=sentence):
        read_labels(yolo(tmp_path / "data", **parts))


def test_yolo_labels_without_their_image_are_refused(tmp_path):
    folder = yolo(tmp_path / "data")
    (folder / "labels" / "train" / "gone.txt").write_text("")
    with pytest.raises(DataError, match=r"gone.txt: there is no image of this name"):
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


@pytest.mark.parametrize("name", ["labels.csv", "nothing", "."])
def test_what_is_no_format_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="no labels that can be read"):
        detect_format(tmp_path / name)
