"""A box whose class nothing names is one finding: the source is read, and no object is lost."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from classlift.data.formats import read_labels
from classlift.data.label_map import LabelMap
from classlift.data.snapshot import Source, take_snapshot
from classlift.errors import DataError
from classlift.quality.repair import repair
from classlift.quality.validate import validate
from tests.classlift.data.test_formats import of_ids, picture, yolo

pytestmark = pytest.mark.unit


def of_yolo(folder, line="7 0.5 0.5 0.25 0.2", names="names: [car, '', bike]"):
    return yolo(folder, line=f"2 0.5 0.5 0.5 0.5\n{line}\n0 0.2 0.2 0.1 0.1", names=names)


def of_coco(folder, annotation=None, category=None):
    picture(folder)
    box = {"image_id": 1, "category_id": 2, "bbox": [1, 2, 10, 20]}
    lost = {**box, "id": 2, **(annotation or {"category_id": 7})}
    categories = [{"id": 2, "name": "bike"}, {"id": 1, "name": "car"}, *([category or []])]
    document = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "categories": [found for found in categories if found],
        "annotations": [
            {**box, "id": 1},
            {key: value for key, value in lost.items() if value is not None},
            {**box, "id": 3, "category_id": 1, "bbox": [3, 3, 5, 5]},
        ],
    }
    (folder / "a.json").write_text(json.dumps(document))
    return folder


def of_records(folder):
    LabelMap(("bike", "car"), (1, 3)).write(of_ids(folder).parent / "label_map.pbtxt")
    return folder


def of_open_images(folder):
    picture(folder)
    rows = [
        "a,x,/m/1,1,0.1,0.5,0.1,0.5",
        "a,x,/m/9,1,0.2,0.5,0.1,0.5",
        "a,x,/m/2,1,0.1,0.3,0.2,0.5",
    ]
    head = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax"
    (folder / "train-annotations-bbox.csv").write_text("\n".join([head, *rows]))
    (folder / "class-descriptions-boxable.csv").write_text("/m/1,bike\n/m/2,car\n")
    return folder


def of_parquet(folder):
    picture(folder)
    sides = {
        side: pa.array([value] * 3, pa.float32()) for side, value in (("xmin", 1), ("ymin", 2))
    }
    sides |= {
        side: pa.array([value] * 3, pa.float32()) for side, value in (("xmax", 9), ("ymax", 8))
    }
    labels = {"image_id": ["a.jpg"] * 3, "label": ["bike", None, "car"]}
    pq.write_table(pa.table({"image_id": ["a.jpg"], "uri": ["a.jpg"]}), folder / "images.parquet")
    pq.write_table(pa.table({**labels, **sides}), folder / "boxes.parquet")
    return folder


NUMBERED = ", and the list numbers them from 0 to 2"


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (of_yolo, f"labels/train/a.txt line 2 of class 7{NUMBERED}"),
        (lambda f: of_yolo(f, line="-1 0.5 0.5 0.25 0.2"), f"line 2 of class -1{NUMBERED}"),
        (lambda f: of_yolo(f, line="1 0.5 0.5 0.25 0.2"), f"line 2 of class 1{NUMBERED}"),
        (
            lambda f: of_yolo(f, line="3 0.1 0.2 0.5 0.1 0.4 0.9"),
            f"line 2 of class 3{NUMBERED}",
        ),  # a polygon
        (of_coco, "a.json annotation 2 of class 7"),
        (lambda f: of_coco(f, {"category_id": "2"}), "annotation 2 of class '2'"),
        (lambda f: of_coco(f, {"category_id": None}), "annotation 2 of class None"),
        (lambda f: of_coco(f, {"category_id": [2]}), "annotation 2 of class [2]"),
        (lambda f: of_coco(f, {"category_id": 9}, {"id": 9}), "annotation 2 of class 9"),
        (lambda f: of_coco(f, {"category_id": 9}, {"id": 9, "name": ""}), "of class 9"),
        (of_open_images, "line 3 of class /m/9"),
        (of_parquet, "boxes.parquet row 1"),
    ],
)
def test_the_box_stays_without_a_class_and_says_its_number(tmp_path, write, said):
    labels = read_labels(write(tmp_path / "data"))
    assert [box.label for box in labels.boxes] == ["bike", "", "car"]
    assert labels.boxes[1].source.endswith(said)


def test_records_whose_id_the_label_map_lacks(tmp_path):
    (box,) = read_labels(of_records(tmp_path / "data")).boxes
    assert (box.label, box.source) == ("", "data/a.record record 0 box 0 of class 2")


@pytest.mark.parametrize("write", [of_yolo, of_coco, of_records, of_open_images, of_parquet])
def test_it_is_critical_until_it_is_named_or_left_out(tmp_path, write):
    source = [Source(write(tmp_path / "data"), "train")]
    snapshot = take_snapshot(source)
    (finding,) = [
        f
        for f in validate(snapshot, ("bike", "car"), (), 0, tmp_path)
        if f.count == 1 and f.severity == "critical"
    ]
    assert finding.sentence().startswith("1 box names no class (name its class or number in the")
    assert "`bad_boxes: drop`" in finding.fault
    left = take_snapshot(source, droppable=1.0)
    assert left.boxes.num_rows == snapshot.boxes.num_rows - 1
    (dropped,) = [p for p in left.image_problems() if "left out" in p.rule]
    assert dropped.value == "its class has no name"
    with pytest.raises(DataError, match=r"1 of \d boxes .* have no class, no place"):
        take_snapshot(source, droppable=0.001)


def test_a_repaired_copy_keeps_it(tmp_path):
    """Without its box the object would be taught as background."""
    snapshot = take_snapshot([Source(of_yolo(tmp_path / "data"), "train")])
    repair(snapshot, ("bike", "car"), tmp_path / "fixed")
    assert sorted(b.label for b in read_labels(tmp_path / "fixed").boxes) == ["", "bike", "car"]
