import json

import numpy as np
import pyarrow as pa
import pytest

from classlift.data.schema import OBJECTS
from classlift.diagnosis.weakness import find_weakness, read_objects, trained_on
from classlift.metrics.matching import match
from classlift.serving.provenance import Provenance
from tests.classlift.conftest import boxes_table, detections_table

pytestmark = pytest.mark.unit
BOX, OTHER = (0.0, 0.0, 10.0, 10.0), (20.0, 20.0, 30.0, 30.0)
IMAGES = [f"{i:02d}" for i in range(20)]


def matches():
    """Twenty scooters; the champion finds twelve with a score of 0.4, eight not at all."""
    boxes = boxes_table(
        [(i, "scooter", *BOX) for i in IMAGES] + [(i, "car", *OTHER) for i in IMAGES]
    )
    found = [(i, "scooter", 0.4, *BOX) for i in IMAGES[:12]]
    found += [(i, "car", 0.9, *OTHER) for i in IMAGES]
    return match(boxes, detections_table(found), IMAGES, ("car", "scooter"))


def objects(images):
    """Scooters and cars lie apart in one of three features."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "image_id": image,
            "box_id": number + (label == "car") * len(images),
            "label": label,
            "side": 10.0,
            "features": [*rng.normal(size=2), 9.0 * (label == "car")],
        }
        for label in ("scooter", "car")
        for number, image in enumerate(images)
    ]
    return pa.Table.from_pylist(rows, OBJECTS)


def test_recalibration_is_told_apart_from_deployment():
    found = find_weakness(
        matches(), "scooter", 0.8, {"car": 0.5, "scooter": 0.5}, {"car": 90, "scooter": 10}
    )
    assert (found.deployed, found.recalibrated, found.others) == (0.0, 0.6, 1.0)
    words = " ".join(found.sentences())
    assert "finds 0% of class scooter at its threshold in production, and 60%" in words
    assert "10.0% of the boxes that the champion was trained on are of class scooter" in words
    json.dumps([cause.to_json() for cause in found.causes])


def test_features_that_tell_all_leave_imbalance(tmp_path):
    """A line finds every scooter, and an eighth of the boxes are scooters."""
    found = find_weakness(
        matches(),
        "scooter",
        0.8,
        {"car": 0.5, "scooter": 0.5},
        {"car": 140, "scooter": 20},
        {"train": objects([f"t{i}" for i in range(20)]), "eval": objects(IMAGES)},
        smallest=5.0,
    )
    first = found.causes[0]
    assert first.name == "imbalance"
    assert first.score == pytest.approx(0.75 * 0.4)
    assert first.figures.allowed_recall == 1.0
    architecture = next(c for c in found.causes if c.name == "architecture")
    assert architecture.figures.share_smaller == 0.0
    json.dumps([cause.to_json() for cause in found.causes])


def test_a_model_that_describes_nothing(tmp_path):
    assert read_objects(tmp_path) is None


def test_what_a_champion_was_trained_on():
    """A recalibrated one was trained on what the model before it was."""
    trained = Provenance(
        recipe={"steps": 600}, trained_on={"car": 90, "scooter": 10}, champion=Provenance()
    )
    recalibrated = Provenance(recipe={"recalibrate": True}, trained_on={}, champion=trained)
    assert trained_on(recalibrated) == trained_on(trained) == {"car": 90, "scooter": 10}
    assert trained_on(Provenance()) == {}
