"""Doubted labels as tasks for CVAT, Label Studio and FiftyOne."""

import json
from pathlib import Path

import pytest
from lxml import etree
from PIL import Image

from classlift.cli import convert
from classlift.data.snapshot import Source, take_snapshot
from classlift.quality.relabel import DOUBT, FOLDER, write_tasks
from classlift.quality.suspicions import Suspicion
from classlift.quality.validate import validate
from tests.classlift.data.test_tolerance import converting

pytestmark = pytest.mark.unit
LABELS = ("car", "scooter")
MISSING = Suspicion("missing label", "{}/1.jpg", "", "scooter", 0.93, (20.0, 3.0, 40.0, 18.0), "")
OTHER = Suspicion("other class", "{}/1.jpg", "car", "scooter", 0.81, (1.0, 2.0, 11.0, 22.0), "a 1")


def doubts(prefix: str) -> list[Suspicion]:
    return [
        Suspicion(**{**vars(d), "image_id": d.image_id.format(prefix)}) for d in (MISSING, OTHER)
    ]


@pytest.fixture
def tasks(coco, tmp_path) -> Path:
    snapshot = take_snapshot([Source(coco())])
    validate(snapshot, LABELS, (), 0, tmp_path / "report", suspicions=doubts("data/images"))
    return tmp_path / "report" / FOLDER


def test_cvat(tasks, tmp_path):
    root = etree.parse(tasks / "cvat.xml").getroot()
    assert root.findtext("version") == "1.1"
    assert root.xpath("meta/task/labels/label/name/text()") == ["car", "scooter", DOUBT]
    (image,) = root.findall("image")
    assert image.get("name") == str(tmp_path / "data" / "images" / "1.jpg")
    assert (image.get("width"), image.get("height")) == ("40", "30")
    corners = [
        [box.get("label"), *(float(box.get(side)) for side in ("xtl", "ytl", "xbr", "ybr"))]
        for box in image.findall("box")
    ]
    assert corners == [["car", 1, 2, 11, 22], [DOUBT, 20, 3, 40, 18], [DOUBT, 1, 2, 11, 22]]
    assert image.xpath("box/attribute[@name='doubt']/text()") == [
        "not labelled, detected as scooter at 0.93",
        "labelled car, detected as scooter at 0.81",
    ]
    raw = json.loads((tasks / "cvat_labels.json").read_text())
    assert [label["name"] for label in raw] == ["car", "scooter", DOUBT]
    assert raw[-1]["attributes"][0]["name"] == "doubt"


def test_label_studio(tasks, tmp_path):
    (task,) = json.loads((tasks / "label_studio.json").read_text())
    image = tmp_path / "data" / "images" / "1.jpg"
    assert task["data"]["image"] == f"/data/local-files/?d={str(image)[1:]}"
    labels, found = task["predictions"]
    (region,) = labels["result"]
    assert region["value"] == {
        **{"x": 2.5, "y": 6.6667, "width": 25, "height": 66.6667, "rotation": 0},
        "rectanglelabels": ["car"],
    }
    assert (region["original_width"], region["original_height"]) == (40, 30)
    assert found["score"] == 0.93
    assert [r["value"]["rectanglelabels"] for r in found["result"]] == [["scooter"]] * 2
    config = etree.parse(tasks / "label_studio.xml").getroot()
    control, picture = config.find("RectangleLabels"), config.find("Image")
    assert (control.get("name"), picture.get("name")) == (region["from_name"], region["to_name"])
    assert control.get("toName") == picture.get("name")
    assert control.xpath("Label/@value") == ["car", "scooter"]


def test_fiftyone(tasks, tmp_path):
    files = json.loads((tasks / "fiftyone" / "data.json").read_text())
    labels = json.loads((tasks / "fiftyone" / "labels.json").read_text())
    assert labels["classes"] == ["car", "scooter"]
    assert list(files) == list(labels["labels"])
    ((key, file),) = files.items()
    assert Path(file) == tmp_path / "data" / "images" / "1.jpg"
    label, missing, other = labels["labels"][key]
    assert label == {"label": "car", "bounding_box": [1 / 40, 2 / 30, 10 / 40, 20 / 30]}
    assert missing["bounding_box"] == [0.5, 0.1, 0.5, 0.5]
    assert (missing["confidence"], missing["attributes"]["doubt"]) == (0.93, "missing label")
    assert other["attributes"] == {"doubt": "other class", "labelled": "car"}


def test_images_of_records_become_files(coco, tmp_path):
    assert convert.COMMAND.run(converting(coco(), tmp_path / "new", "tfrecord")) == 0
    snapshot = take_snapshot([Source(tmp_path / "new" / "data.record")])
    prefix = snapshot.images["image_id"][0].as_py().removesuffix("/1.jpg")
    validate(snapshot, LABELS, (), 0, tmp_path / "report", suspicions=doubts(prefix))
    files = json.loads((tmp_path / "report" / FOLDER / "fiftyone" / "data.json").read_text())
    (file,) = files.values()
    with Image.open(file) as image:
        assert image.size == (40, 30)
    assert Path(file).is_relative_to(tmp_path / "report")


def test_tasks_of_earlier_go(coco, tmp_path):
    snapshot = take_snapshot([Source(coco())])
    for given in (doubts("data/images"), []):
        validate(snapshot, LABELS, (), 0, tmp_path / "report", suspicions=given)
        assert (tmp_path / "report" / FOLDER).exists() == bool(given)


def test_names_that_xml_has_no_signs_for(coco, tmp_path):
    names = ("a\x1bb", '"><script>', "<&>")
    path = coco(categories=[{"id": 1, "name": names[0]}, {"id": 2, "name": names[1]}])
    snapshot = take_snapshot([Source(path)])
    given = doubts("data/images")
    validate(snapshot, names, (), 0, tmp_path / "report", suspicions=given)
    root = etree.parse(tmp_path / "report" / FOLDER / "cvat.xml").getroot()
    assert root.xpath("image/box/@label")[0] == "a b"


def test_images_that_are_encoded_become_files(coco, tmp_path):
    """As a run has them, whose Examples hold the images."""
    snapshot = take_snapshot([Source(coco())])
    encoded = {
        image["image_id"]: Path(image["uri"]).read_bytes() for image in snapshot.images.to_pylist()
    }
    given = doubts("data/images")
    write_tasks(tmp_path / "tasks", given, snapshot.boxes, encoded, LABELS)
    (task,) = json.loads((tmp_path / "tasks" / "label_studio.json").read_text())
    file = tmp_path / "tasks" / "images" / "0000.jpg"
    assert task["data"]["image"].endswith(str(file)[1:])
    assert file.read_bytes() == encoded["data/images/1.jpg"]
    write_tasks(tmp_path / "nothing", [], snapshot.boxes, encoded, LABELS)
    assert not (tmp_path / "nothing").exists()
