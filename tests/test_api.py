"""The public API: lazily there, documented whole, listed on its page, and it works."""

import inspect
import json
import re
from pathlib import Path

import pytest
from PIL import Image

import classlift
from classlift import api
from classlift.cli.reference import python_api
from classlift.errors import DataError, EvaluationError

pytestmark = pytest.mark.unit
ROOT = Path(__file__).resolve().parents[1]
FUNCTIONS = [name for name in classlift.__all__ if inspect.isfunction(getattr(api, name))]


def test_it_is_what_it_says_it_is():
    assert sorted(classlift.__all__) == sorted(api.__all__)
    assert {getattr(classlift, name) for name in classlift.__all__} == {
        getattr(api, name) for name in api.__all__
    }
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        classlift.train  # noqa: B018


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_result_and_error_is_described(name):
    function = getattr(api, name)
    text = inspect.getdoc(function)
    described = re.search(r"Args:\n(.*?)\n\n", text, re.DOTALL)[1]
    named = re.findall(r"^ {4}(\w+): \S", described, re.MULTILINE)
    assert named == list(inspect.signature(function).parameters)
    assert "\nReturns:\n" in text
    assert "\nRaises:\n" in text


def test_its_page_is_current():
    page = ROOT / "docs" / "reference" / "python-api.md"
    assert page.read_text("utf-8") == python_api(), "make reference"


def write_sets(folder: Path, found_by_challenger: int) -> Path:
    """Labels of 60 images with one scooter and one car each, and two models' COCO results.

    The champion finds 20 scooters, the challenger `found_by_challenger`; both find all cars.
    """
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 100, "height": 100} for n in range(1, 61)]
    categories = [{"id": 1, "name": "car"}, {"id": 2, "name": "scooter"}]
    annotations = [
        {"id": 2 * n + c, "image_id": n, "category_id": c, "bbox": [40 * c - 30, 10, 20, 20]}
        for n in range(1, 61)
        for c in (1, 2)
    ]
    labels = {"images": images, "categories": categories, "annotations": annotations}
    (folder / "labels.json").write_text(json.dumps(labels))
    for model, found in (("champion", 20), ("challenger", found_by_challenger)):
        results = [
            {"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"],
             "score": 0.9}
            for a in annotations
            if a["category_id"] == 1 or a["image_id"] <= found
        ]  # fmt: skip
        (folder / f"{model}.json").write_text(json.dumps(results))
    return folder


@pytest.mark.parametrize(("found", "verdict"), [(50, "push"), (20, "refuse"), (10, "refuse")])
def test_two_sets_of_coco_results_are_gated(tmp_path, found, verdict):
    folder = write_sets(tmp_path, found)
    models = [
        classlift.ModelPredictions(predictions, predictions)
        for predictions in (
            classlift.read_coco_results(folder / "labels.json", folder / f"{name}.json")
            for name in ("champion", "challenger")
        )
    ]
    given = classlift.gate_models(*models, "scooter")
    assert given.verdict == verdict
    assert given.classes["car"].status == "unchanged"
    assert given.classes["scooter"].lift == pytest.approx((found - 20) / 60)
    both = classlift.gate_targets(*models, ["scooter", "car"])
    assert both["scooter"].verdict == verdict
    assert both["car"].verdict == "refuse"  # nothing was there to be raised
    evidence = classlift.compare(*models, "scooter").of("scooter")
    assert evidence.recall.change == given.classes["scooter"].lift


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ({}, "a list of detections"),
        ([1], "no JSON object"),
        ([{"image_id": 99, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}], "image_id 99"),
        ([{"image_id": True, "category_id": 1}], "image_id True"),
        ([{"image_id": 1, "category_id": "1"}], "category_id '1'"),
        ([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3], "score": 1}], "four numbers"),
        ([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}], "a number as `score`"),
    ],
)
def test_results_that_are_none_are_a_sentence(tmp_path, results, words):
    folder = write_sets(tmp_path, 20)
    (folder / "wrong.json").write_text(json.dumps(results))
    with pytest.raises(DataError, match=re.escape(words)):
        classlift.read_coco_results(folder / "labels.json", folder / "wrong.json")


def test_a_score_beyond_one_is_a_sentence(tmp_path):
    folder = write_sets(tmp_path, 20)
    row = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1.5}
    (folder / "wrong.json").write_text(json.dumps([row]))
    with pytest.raises(EvaluationError, match=r"has the score 1\.5"):
        classlift.read_coco_results(folder / "labels.json", folder / "wrong.json")


def test_labels_may_have_either_name_of_a_class(tmp_path):
    Image.new("RGB", (64, 48)).save(tmp_path / "1.png")
    document = {
        "images": [{"id": 1, "file_name": "1.png", "width": 64, "height": 48}],
        "categories": [{"id": 1, "name": "/m/1"}, {"id": 2, "name": "tram"}],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": n, "bbox": [20 * n, 10, 15, 20]} for n in (1, 2)
        ],
    }
    (tmp_path / "labels.json").write_text(json.dumps(document))
    label_map = tmp_path / "label_map.pbtxt"
    item = "item {{ id: {} name: '{}' display_name: '{}' }}\n"
    label_map.write_text(item.format(1, "/m/1", "scooter") + item.format(2, "/m/2", "bus"))
    data = classlift.snapshot(tmp_path / "labels.json")
    findings = classlift.validate(data, tmp_path / "report", label_map)
    [unknown] = [f for f in findings if f.rule == "the class of a box is in the label map"]
    assert unknown.count == 1  # the tram's
    assert data.boxes["label"].to_pylist() == ["/m/1", "tram"]  # what was given stays as it is
