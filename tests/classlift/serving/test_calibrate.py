"""`classlift calibrate` on a real SavedModel, which finds one car of score 0.5 everywhere."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from classlift import cli
from classlift.serving.bundle import Bundle
from classlift.serving.manifest import Manifest

pytestmark = pytest.mark.unit
LABEL_MAP = 'item { id: 1 name: "car" } item { id: 2 name: "scooter" } item { id: 3 name: "bus" }'


@pytest.fixture
def model(saved_model, tmp_path) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(saved_model, folder)
    Bundle(folder).entry.mkdir()
    (Bundle(folder).entry / "label_map.pbtxt").write_text(LABEL_MAP)
    return folder


@pytest.fixture
def labels(coco) -> Path:
    """Two images that a car fills, one of them with a scooter."""
    whole = {"category_id": 1, "bbox": [0, 0, 40, 30]}
    return coco(
        annotations=[
            {"id": 1, "image_id": 1, **whole},
            {"id": 2, "image_id": 2, **whole},
            {"id": 3, "image_id": 2, "category_id": 2, "bbox": [1, 2, 10, 20]},
        ]
    )


@pytest.fixture
def calibrated(monkeypatch, capsys, model, labels):
    def run(*words: str, data: Path = labels) -> tuple[int, str, str]:
        given = ["classlift", "calibrate", str(model), "--data", str(data), *words]
        monkeypatch.setattr(sys, "argv", given)
        code = cli.main()
        return code, *capsys.readouterr()

    return run


def test_each_class_has_a_threshold_and_the_table_says_what_it_gives(calibrated, model):
    code, out, _ = calibrated()
    assert code == 0
    assert out.splitlines()[:4] == [
        "class    objects  threshold  precision  recall",
        "car            2      0.500      1.000   1.000",
        "scooter        1      0.500          -   0.000  0.8 not reached: stays",
        "bus            0      0.500          -       -  no object: stays",
    ]
    points = Bundle(model).operating_points()
    assert points == {"car": 0.5, "scooter": 0.5, "bus": 0.5}
    assert Bundle(model).brings_operating_points()


def test_what_is_there_is_replaced_by_force_alone(calibrated, model):
    Bundle(model).write_operating_points({"car": 0.9, "scooter": 0.3, "bus": 0.4})
    before = (Bundle(model).entry / "operating_points.json").read_text()
    code, _, err = calibrated()
    assert code == 78
    assert "the model has score thresholds; --force replaces them." in err
    assert (Bundle(model).entry / "operating_points.json").read_text() == before
    code, out, _ = calibrated("--force", "--json")
    assert code == 0
    rows = {row["label"]: row for row in json.loads(out)}
    assert {label: row["threshold"] for label, row in rows.items()} == {
        "car": 0.5, "scooter": 0.3, "bus": 0.4,
    }  # fmt: skip
    assert (rows["bus"]["precision"], rows["bus"]["hole"]) == (None, "no object")


def test_nothing_is_written_where_nothing_is_reached(calibrated, model):
    """Two images guarantee nothing."""
    code, _, err = calibrated("--points", "guaranteed")
    assert code == 78
    assert "no class has a precision of 0.8 at any score threshold, so nothing was written" in err
    assert not Bundle(model).brings_operating_points()


def test_a_served_version_stays_as_it_is(calibrated, model):
    Manifest.of(model).write(model)
    before = Manifest.of(model)
    code, _, err = calibrated("--force")
    assert code == 78
    assert "ClassLift served this version at the thresholds that its gate judged" in err
    assert Manifest.of(model) == before


def test_labels_that_are_no_class_of_the_model_are_named(calibrated, coco):
    data = coco("other", categories=[{"id": 1, "name": "car"}, {"id": 2, "name": "tram"}])
    code, _, err = calibrated(data=data)
    assert code == 78
    assert "labels are called 'tram', and the model has: car, scooter, bus" in err
