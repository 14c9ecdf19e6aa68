import numpy as np
import pandas as pd
import pytest

from classlift.data.formats import read_labels
from classlift.metrics.matching import match
from classlift.metrics.summary import FIGURES, SIZES, summarize
from tests.classlift.conftest import boxes_table, detections_table
from tests.classlift.metrics.oracle import pycocotools_summary
from tests.classlift.metrics.test_matching import random_case, with_crowds
from tests.classlift.test_real_data import SHARED, STREETS

LABELS = ("car", "scooter", "tram")  # nothing is a tram


@pytest.mark.unit
@pytest.mark.parametrize("largest", [40, 200])  # pixels: without and with large objects
@pytest.mark.parametrize("crowds", [0.0, 0.2])
@pytest.mark.parametrize("seed", range(3))
def test_equals_pycocotools(seed, crowds, largest):
    boxes, detections, images = random_case(seed, largest)
    boxes = with_crowds(boxes, crowds, seed)
    case = boxes, detections, images, LABELS
    found = summarize(*case)
    pd.testing.assert_frame_equal(found, pycocotools_summary(*case), rtol=0, atol=1e-6)
    assert found.loc["tram"].isna().all()
    assert found.loc["car", "large"].isna().all() == (largest == 40)
    assert found["all", "AP50"].to_dict() == pytest.approx(match(*case).ap50, nan_ok=True)


@pytest.mark.unit
def test_detections_of_a_class_without_objects():
    boxes = boxes_table([("a", "car", 0, 0, 10, 10)])
    detections = detections_table([("a", "scooter", 0.9, 0, 0, 10, 10)])
    found = summarize(boxes, detections, ["a", "b"], LABELS)
    assert found.loc["scooter"].isna().all()
    assert (found.loc["car", ["all", "small"]] == 0).all()


@pytest.mark.unit
@pytest.mark.parametrize("empty", ["boxes", "detections", "both"])
def test_empty_tables(empty):
    boxes, detections, images = random_case(0)
    boxes = boxes.slice(0, 0) if empty in ("boxes", "both") else boxes
    detections = detections.slice(0, 0) if empty in ("detections", "both") else detections
    found = summarize(boxes, detections, images, LABELS)
    assert list(found.columns) == [(size, name) for size in SIZES for name in FIGURES]
    nothing = found["all"].loc[["car", "scooter"]]
    assert (nothing == 0).all(axis=None) if empty == "detections" else nothing.isna().all(axis=None)


@pytest.mark.unit
@pytest.mark.parametrize(("inventions", "recall"), [(99, 1.0), (100, 0.0)])
def test_a_hundred_detections_of_a_class_count(inventions, recall):
    boxes = boxes_table([("a", "car", 0, 0, 10, 10)])
    invented = [("a", "car", 0.9, 50, 50, 60, 60)] * inventions
    detections = detections_table([*invented, ("a", "car", 0.5, 0, 0, 10, 10)])
    assert summarize(boxes, detections, ["a"], LABELS).loc["car", ("all", "AR")] == recall


@pytest.mark.pipeline
def test_equals_pycocotools_on_what_the_demos_model_finds(detector, examples):
    from classlift.detectors.examples import example_files
    from classlift.detectors.export import Serving
    from classlift.detectors.predict import predict

    files = example_files(examples, "test")
    found = predict(Serving(detector).encoded, files, detector.label_map)
    case = found.boxes, found.detections, found.image_ids, detector.label_map.names
    pd.testing.assert_frame_equal(summarize(*case), pycocotools_summary(*case), rtol=0, atol=1e-6)


@pytest.mark.pipeline
@pytest.mark.skipif(not SHARED.exists(), reason="the shared data sets are not here")
def test_equals_pycocotools_on_jittered_labels_of_street_scenes():
    labels = read_labels(SHARED / "carla")
    rng = np.random.default_rng(0)
    boxes, detections = [], []
    for box in labels.boxes:
        boxes.append((box.file_name, box.label, *box.box))
        sides = np.reshape(box.box, (2, 2))
        moved = np.sort(sides + rng.normal(0, 0.1, (2, 2)) * (sides[1] - sides[0]), axis=0)
        label = box.label if rng.random() < 0.9 else rng.choice(STREETS)
        detections.append((box.file_name, label, round(rng.random(), 3), *moved.ravel()))
    images = [image.file_name for image in labels.images]
    case = boxes_table(boxes), detections_table(detections), images, STREETS
    pd.testing.assert_frame_equal(summarize(*case), pycocotools_summary(*case), rtol=0, atol=1e-6)
