"""Image files that no labels name are not used, and that is said."""

import json
import os

import pytest

from classlift.data.snapshot import Source, take_snapshot
from classlift.data.unlisted import UNLISTED
from classlift.quality.validate import validate
from tests.classlift.data.test_formats import picture, yolo

pytestmark = pytest.mark.unit

BOX = [1, 2, 11, 22]


def coco(folder, names=("a.jpg",)):
    document = {
        "images": [{"id": n, "file_name": name} for n, name in enumerate(names)],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [{"id": 1, "image_id": 0, "category_id": 1, "bbox": BOX}],
    }
    (folder / "a.json").write_text(json.dumps(document))


def csv(folder):
    (folder / "a.csv").write_text("filename,class,xmin,ymin,xmax,ymax\na.jpg,car,1,2,11,22\n")


def via(folder):
    shape = {"name": "rect", "x": 1, "y": 2, "width": 10, "height": 20}
    region = {"shape_attributes": shape, "region_attributes": {"class": "car"}}
    (folder / "via.json").write_text(json.dumps({"a": {"filename": "a.jpg", "regions": [region]}}))


def voc(folder):
    sides = "<xmin>1</xmin><ymin>2</ymin><xmax>11</xmax><ymax>22</ymax>"
    text = f"<object><name>car</name><bndbox>{sides}</bndbox></object>"
    (folder / "a.xml").write_text(f"<annotation><filename>a.jpg</filename>{text}</annotation>")


def labelme(folder):
    shape = {"label": "car", "points": [[1, 2], [11, 22]], "shape_type": "rectangle"}
    (folder / "a.json").write_text(json.dumps({"imagePath": "a.jpg", "shapes": [shape]}))


def said(snapshot):
    return [p for p in snapshot.image_problems() if p.rule == UNLISTED]


@pytest.mark.parametrize("write", [coco, csv, via, voc, labelme])
def test_images_without_a_row_are_counted(tmp_path, write):
    folder = tmp_path / "data"
    for name in ("a.jpg", "b.jpg", "more/c.PNG", "masks/a.png", "SegmentationClass/a.png"):
        picture(folder, name)
    write(folder)
    snapshot = take_snapshot([Source(folder)])
    assert snapshot.images.num_rows == 1
    (problem,) = said(snapshot)
    assert (problem.value, problem.severity) == ("2", "info")
    (finding,) = [f for f in validate(snapshot, ("car",), (), 0, tmp_path / "r") if f.count == 2]
    assert finding.fault.startswith("2 image files lie with the labels that none of them names")
    assert finding.where == [f"{folder}/b.jpg (beside {folder})"]


def test_of_a_file_the_folders_of_its_images_are_looked_through(tmp_path):
    folder = tmp_path / "data"
    for name in ("a.jpg", "b.jpg", "more/c.jpg"):
        picture(folder, name)
    coco(folder)
    (problem,) = said(take_snapshot([Source(folder / "a.json")]))
    assert (problem.value, problem.image_id) == ("1", f"{folder}/b.jpg")


def test_what_another_source_names_is_used(tmp_path):
    folder = tmp_path / "data"
    for name in ("a.jpg", "b.jpg"):
        picture(folder, name)
    coco(folder)
    (folder / "a.json").rename(folder / "1.json")
    coco(folder, ["b.jpg"])
    (folder / "a.json").rename(folder / "2.json")
    snapshot = take_snapshot(
        [Source(folder / "1.json", "train"), Source(folder / "2.json", "eval")]
    )
    assert not said(snapshot)


def test_a_link_to_an_image_is_that_image(tmp_path):
    picture(tmp_path / "data", "a.jpg")
    os.symlink(tmp_path / "data" / "a.jpg", tmp_path / "data" / "link.jpg")
    coco(tmp_path / "data")
    assert not said(take_snapshot([Source(tmp_path / "data")]))


def test_all_images_of_yolo_are_labelled(tmp_path):
    assert not said(take_snapshot([Source(yolo(tmp_path / "data"))]))


def test_a_memory_sees_a_new_image(tmp_path):
    picture(tmp_path / "data", "a.jpg")
    coco(tmp_path / "data")
    sources = [Source(tmp_path / "data")]
    assert not said(take_snapshot(sources, tmp_path / "memory"))
    picture(tmp_path / "data", "b.jpg")
    assert [p.value for p in said(take_snapshot(sources, tmp_path / "memory"))] == ["1"]
