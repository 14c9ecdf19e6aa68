"""What a reader forgives, in each format: rounded sides, sizes that nobody knew, flags as texts."""

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from classlift.cli import convert
from classlift.data import examples
from classlift.data.formats import read_labels
from classlift.data.formats.tfrecord import write_record
from classlift.data.label_map import LabelMap
from classlift.data.schema import ExampleKeys
from classlift.data.snapshot import Snapshot, Source, take_snapshot
from classlift.data.writers import WRITERS
from classlift.errors import DataError
from classlift.quality.repair import repair

pytestmark = pytest.mark.unit
WIDTH, HEIGHT = 1920, 1080


def image(folder: Path, name: str = "a.jpg") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT), "gray").save(folder / name)


def coco(folder: Path, bbox: Any = (1, 2, 3, 4), size: Any = (WIDTH, HEIGHT), **flags: Any) -> Path:
    image(folder)
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": bbox, **flags}
    picture = {"id": 1, "file_name": "a.jpg"}
    picture |= {k: v for k, v in zip(("width", "height"), size, strict=True) if v != "left out"}
    names = [{"id": 1, "name": "cat"}]
    text = json.dumps({"images": [picture], "categories": names, "annotations": [box]})
    (folder / "a.json").write_text(text)
    return folder / "a.json"


def voc(
    folder: Path,
    box: str = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>4</xmax><ymax>6</ymax></bndbox>",
    size: Any = (WIDTH, HEIGHT),
    flags: str = "",
    name: str = "a.xml",
) -> Path:
    image(folder / "JPEGImages", f"{name[0]}.jpg")
    (folder / "Annotations").mkdir(exist_ok=True)
    width, height = size
    (folder / "Annotations" / name).write_text(
        f"<annotation><filename>{name[0]}.jpg</filename><size><width>{width}</width><height>"
        f"{height}</height></size><object><name>cat</name>{flags}{box}</object></annotation>"
    )
    return folder


def voc_without_size(folder: Path, _: Any) -> Path:
    corners = zip(("xmin", "ymin", "xmax", "ymax"), (22.5, 80, 37.5, 120), strict=True)
    sides = "".join(f"<{side}>{value}</{side}>" for side, value in corners)
    return voc(folder, f"<bndbox>{sides}</bndbox>", size=(0, 0))


def coco_without_size(folder: Path, _: Any) -> Path:
    return coco(folder, [22.5, 80, 15, 40], size=(None, None))


def yolo(folder: Path, line: str) -> Path:
    image(folder / "images")
    (folder / "labels").mkdir()
    (folder / "labels" / "a.txt").write_text(line)
    (folder / "classes.txt").write_text("cat")
    return folder


def parquet(folder: Path, corners: Any = (1.0, 2.0, 4.0, 6.0), **columns: Any) -> Path:
    """columns: of the boxes; `width` and `height` of the images."""
    image(folder)
    images = {"image_id": ["a"], "uri": ["a.jpg"]}
    images |= {
        side: pa.array([columns.pop(side)]) for side in ("width", "height") if side in columns
    }
    boxes = {"image_id": ["a"], "label": ["cat"]}
    sides = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    boxes |= {side: pa.array([value], pa.float32()) for side, value in sides}
    boxes |= {name: pa.array([value]) for name, value in columns.items()}
    for name, table in (("images", images), ("boxes", boxes)):
        pq.write_table(pa.table(table), folder / f"{name}.parquet")
    return folder


def record(folder: Path, shares: Any = (0.1, 0.1, 0.2, 0.2), **features: Any) -> Path:
    """shares: xmin, ymin, xmax, ymax; features: by the last part of their keys, instead."""
    image(folder)
    row = {"image_id": "a", "sha256": "", "format": "jpeg", "width": WIDTH, "height": HEIGHT}
    box = {"label": "cat", "is_crowd": False, "difficult": False}
    box |= {side: 0.0 for side in ("xmin", "ymin", "xmax", "ymax")}
    data = (folder / "a.jpg").read_bytes()
    example = examples._Example.FromString(
        examples.to_example(row, [box], data, LabelMap(("cat",)))
    )
    found = example.features.feature
    for share, side in zip(shares, ("XMIN", "YMIN", "XMAX", "YMAX"), strict=True):
        found[getattr(ExampleKeys, side)].float_list.value[:] = [share]
    for key, value in features.items():
        del found[key].int64_list.value[:]
        found[key].int64_list.value.extend(value)
    with (folder / "a.record").open("wb") as out:
        write_record(out, example.SerializeToString(deterministic=True))
    return folder / "a.record"


def snapshot(path: Path) -> Snapshot:
    return take_snapshot([Source(path)])


def corners(found: Snapshot) -> list[float]:
    (row,) = found.boxes.to_pylist()
    return [row[side] for side in ("xmin", "ymin", "xmax", "ymax")]


SHARE = float(np.float32(1) + np.float32(2**-23))  # the next number of float32


@pytest.mark.parametrize(
    ("write", "argument"),
    [
        (yolo, "0 0.976042 0.705556 0.047917 0.096296"),  # make-sense: 1920.00096
        (yolo, "0 0.254728 0.961913 0.046957 0.076175"),
        (yolo, "0 0.020833 0.160185 0.041667 0.064815"),  # to the left
        (yolo, "0 0.5 0.0999995 0.1 0.2"),  # above
        (coco, [1900.01, 3, 20.0, 4]),
        (coco, [-0.01, 3, 20.0, 4]),
        (coco, [3, 1059.995, 4, 20.01]),
        (record, (0.1, 0.1, SHARE, 0.2)),
        (record, (0.1, -(2**-25), 0.2, SHARE)),
        (parquet, (1.0, 2.0, 1920.0001, 6.0)),
        (parquet, (1.0, -0.0001, 4.0, 1080.0001)),
        (voc, "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>1920.0001</xmax><ymax>6</ymax></bndbox>"),
    ],
)
def test_sides_that_are_rounded_over_the_border_are_clipped_and_counted(
    tmp_path: Path, write: Callable[..., Path], argument: Any
) -> None:
    found = snapshot(write(tmp_path / "data", argument))
    xmin, ymin, xmax, ymax = corners(found)
    assert 0 <= xmin < xmax <= WIDTH
    assert 0 <= ymin < ymax <= HEIGHT
    assert 0 in (xmin, ymin) or xmax == WIDTH or ymax == HEIGHT
    (problem,) = found.problems.to_pylist()
    assert (problem["severity"], problem["problem"].rpartition(": ")[2]) == ("info", "1")


@pytest.mark.parametrize(
    ("write", "argument", "beyond"),
    [
        (yolo, "0 0.976044 0.705556 0.047917 0.096296", 1920.004),
        (coco, [1900, 3, 20.02, 4], 1920.02),
        (record, (0.1, 0.1, 1.000001, 0.2), 1920.002),
        (parquet, (1.0, 2.0, 1920.01, 6.0), 1920.01),
        (coco, [1900, 3, math.inf, 4], math.inf),
    ],
)
def test_sides_that_leave_by_more_stay(
    tmp_path: Path, write: Callable[..., Path], argument: Any, beyond: float
) -> None:
    found = snapshot(write(tmp_path / "data", argument))
    assert corners(found)[2] == pytest.approx(beyond, abs=0.001)
    assert found.problems.num_rows == 0


def test_the_boxes_of_an_image_are_counted_together(tmp_path):
    line = "0 0.976042 0.705556 0.047917 0.096296\n"
    found = snapshot(yolo(tmp_path / "data", 3 * line + "0 0.5 0.5 0.1 0.1\n"))
    (problem,) = found.problems.to_pylist()
    assert problem["problem"].endswith(": 3")
    assert found.boxes.num_rows == 4


@pytest.mark.parametrize("size", [(0, 0), (-1, -1), (0, HEIGHT), ("", ""), (f"{WIDTH}.0", HEIGHT)])
@pytest.mark.parametrize("write", [coco, voc])
def test_a_size_that_nobody_knew_is_that_of_the_file(tmp_path, write, size):
    found = snapshot(write(tmp_path / "data", size=size))
    assert found.problems.num_rows == 0
    (row,) = found.images.to_pylist()
    assert (row["width"], row["height"]) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("size", [(None, None), ("left out", "left out"), (1920.0, "1080")])
def test_a_size_that_coco_does_not_know(tmp_path, size):
    found = snapshot(coco(tmp_path / "data", size=size))
    assert found.problems.num_rows == 0
    assert found.images["width"].to_pylist() == [WIDTH]


@pytest.mark.parametrize("width", [0, -1, None, 1920.0, "1920"])
def test_a_size_that_a_table_does_not_know(tmp_path, width):
    found = snapshot(parquet(tmp_path / "data", width=width, height=0))
    assert found.problems.num_rows == 0
    assert found.images["width"].to_pylist() == [WIDTH]


@pytest.mark.parametrize("width", [[0], []])
def test_a_size_that_a_record_does_not_know_is_that_of_its_image(tmp_path, width):
    shares = (0.25, 0.5, 0.5, 0.75)
    found = snapshot(record(tmp_path / "data", shares, **{ExampleKeys.WIDTH: width}))
    assert found.problems.num_rows == 0
    assert corners(found) == pytest.approx([480, 540, 960, 810])


@pytest.mark.parametrize(
    ("write", "argument"),
    [
        *(
            (coco, bbox)
            for bbox in (None, [], [1, 2, 3], [1, 2, 3, "wide"], {}, [1, 2, 3, 10**400])
        ),
        (voc, ""),
        (voc, "<bndbox></bndbox>"),
        (voc, "<bndbox><xmin>1</xmin><ymin/><xmax>4</xmax><ymax>6</ymax></bndbox>"),
        (voc, "<polygon><x1>1</x1></polygon>"),
        *((yolo, line) for line in ("0", "0 0.5 0.5", "0 0.5 0.5 x 0.1", "0 nan nan nan nan")),
        (parquet, (1.0, None, 4.0, 6.0)),
        (record, (0.1, math.nan, 0.2, 0.3)),
    ],
)
def test_an_annotation_without_a_box_is_read_for_the_validator(tmp_path, write, argument):
    (box,) = read_labels(write(tmp_path / "data", argument)).boxes
    assert box.label == "cat"
    assert any(map(math.isnan, box.box))


NO = [None, 0, False, 0.0, "0", "0.0", "false", "False", "FALSE", "no", ""]
YES = [1, True, 1.0, "1", "1.0", "true", "True", "yes"]
VALUES = [*((value, False) for value in NO), *((value, True) for value in YES)]


@pytest.mark.parametrize(("value", "expected"), VALUES)
def test_flags_are_read_by_value(tmp_path, value, expected):
    for number, flags in enumerate(({"iscrowd": value}, {"difficult": value})):
        (box,) = read_labels(coco(tmp_path / str(number), **flags)).boxes
        assert (box.is_crowd, box.difficult) == (expected and not number, expected and number == 1)
    (box,) = read_labels(coco(tmp_path / "inner", attributes={"difficult": value})).boxes
    assert box.difficult is expected
    (box,) = read_labels(parquet(tmp_path / "table", is_crowd=value, difficult=value)).boxes
    assert (box.is_crowd, box.difficult) == (expected, expected)


@pytest.mark.parametrize(("value", "expected"), [v for v in VALUES if isinstance(v[0], str)])
@pytest.mark.parametrize("tag", ["difficult", "Difficult", "DIFFICULT"])
def test_flags_of_xml(tmp_path, tag, value, expected):
    (box,) = read_labels(voc(tmp_path / "data", flags=f"<{tag}>{value}</{tag}>")).boxes
    assert box.difficult is expected


def test_flags_of_records(tmp_path):
    keys = {ExampleKeys.DIFFICULT: [1], ExampleKeys.IS_CROWD: [0]}
    (box,) = read_labels(record(tmp_path / "data", **keys)).boxes
    assert (box.difficult, box.is_crowd) == (True, False)


@pytest.mark.parametrize(
    ("write", "flags"),
    [
        (coco, {"iscrowd": "maybe"}),
        (coco, {"iscrowd": 2}),
        (coco, {"iscrowd": []}),
        (voc, {"flags": "<difficult>2</difficult>"}),
        (parquet, {"is_crowd": 2}),
        (record, {ExampleKeys.DIFFICULT: [2]}),
    ],
)
def test_a_flag_that_is_neither_is_refused(tmp_path, write, flags):
    with pytest.raises(DataError, match=r"has the \w+ .*; write 0 or 1"):
        read_labels(write(tmp_path / "data", **flags))


def test_xml_in_capitals(tmp_path):
    voc(tmp_path / "data", name="b.xml")
    folder = voc(tmp_path / "data", name="a.XML")
    text = (folder / "Annotations" / "a.XML").read_text()
    for tag in ("object", "name", "bndbox", "xmin", "size", "width", "filename"):
        text = text.replace(f"{tag}>", f"{tag.capitalize()}>")
    (folder / "Annotations" / "a.XML").write_text(text.replace("<Object>", "<Object><!-- x -->"))
    labels = read_labels(folder)
    assert [image.width for image in labels.images] == [WIDTH, WIDTH]
    assert [box.box for box in labels.boxes] == [(1, 2, 4, 6)] * 2


def converting(path: Path, new: Path, to: str) -> argparse.Namespace:
    """The arguments of `classlift convert`."""
    given = {"path": path, "format": None, "images": None, "label_map": None}
    return argparse.Namespace(**given, new=new, to=to, json=False)


@pytest.mark.parametrize("to", WRITERS)
def test_a_box_without_a_place_is_not_converted(tmp_path, to, capsys):
    path = coco(tmp_path / "data", bbox=None)
    arguments = converting(path, tmp_path / "new", to)
    with pytest.raises(DataError, match=r"annotation 1: the box has no place"):
        convert.COMMAND.run(arguments)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("difficult", [True, False])
def test_what_is_difficult_stays_so_in_coco(tmp_path, difficult):
    path = coco(tmp_path / "data", difficult=difficult)
    assert convert.COMMAND.run(converting(path, tmp_path / "new", "coco")) == 0
    (box,) = read_labels(tmp_path / "new" / "annotations.json").boxes
    assert box.difficult is difficult


def turned(path: Path, orientation: int) -> None:
    """Stores an image lying, 200 x 150, with an orientation."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    Image.new("RGB", (200, 150), "gray").save(path, exif=tags)


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize(
    ("write", "argument", "image_file"),
    [
        (yolo, "0 0.2 0.5 0.1 0.2", "images/a.jpg"),
        (voc_without_size, None, "JPEGImages/a.jpg"),
        (coco_without_size, None, "a.jpg"),
        (parquet, (22.5, 80.0, 37.5, 120.0), "a.jpg"),
    ],
)
def test_a_turned_image_whose_labels_state_no_size(
    tmp_path, write, argument, image_file, orientation
):
    """It stops, and is taken for what labelling tools show; `--fix` turns its pixels."""
    path = write(tmp_path / "data", argument)
    turned(tmp_path / "data" / image_file, orientation)
    found = snapshot(path)
    (problem,) = found.problems.to_pylist()
    assert problem["severity"] == "critical"
    assert "labels state no size" in problem["problem"]
    (image,) = found.images.to_pylist()
    size = (150, 200) if orientation > 4 else (200, 150)
    assert (image["width"], image["height"]) == size
    if write is yolo:
        shares = [side / (extent) for side, extent in zip(corners(found), size * 2, strict=True)]
        assert shares == pytest.approx([0.15, 0.4, 0.25, 0.6])
    before = corners(found)
    repair(found, ("cat",), tmp_path / "new")
    again = snapshot(tmp_path / "new" / "annotations.json")
    assert again.problems.num_rows == 0
    assert corners(again) == pytest.approx(before)
    with Image.open(again.images["uri"][0].as_py()) as picture:
        assert picture.size == size
        assert not picture.getexif().get(0x0112)


@pytest.mark.parametrize("orientation", [0, 1, 9, 90])
def test_an_orientation_that_is_none(tmp_path, orientation):
    path = yolo(tmp_path / "data", "0 0.5 0.5 0.1 0.2")
    turned(tmp_path / "data" / "images" / "a.jpg", orientation)
    assert snapshot(path).problems.num_rows == 0
