from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from components.dataset.predictions import Predictions
from components.errors import EvaluationError
from components.recall_gate.evidence import ModelPredictions, compare, require_all, same_bits
from components.recall_gate.rules import judge
from components.recall_gate.settings import GateSettings
from tests.components.conftest import boxes_table, detections_table

pytestmark = pytest.mark.unit
LABELS = ("car", "scooter")
IMAGES = tuple(f"image {i}" for i in range(200))
BOX = (0.0, 0.0, 10.0, 10.0)


def predictions(seed: int, quality: float, shout: float = 0.0) -> Predictions:
    """One car and one scooter in each image; scooters are found with scores of a given quality.

    quality: how far true and false scores are apart. shout: added to every scooter's logit.
    """
    boxes, detections = [], []
    rng = np.random.default_rng(seed)
    for image in IMAGES:
        boxes += [(image, "car", *BOX), (image, "scooter", 20.0, 20.0, 30.0, 30.0)]
        detections.append((image, "car", 0.9, *BOX))
        for logit, place in (
            (rng.normal(quality) + shout, (20.0, 20.0, 30.0, 30.0)),
            (rng.normal(0) + shout, (50.0, 50.0, 60.0, 60.0)),
        ):
            detections.append((image, "scooter", 1 / (1 + np.exp(-logit)), *place))
    return Predictions(IMAGES, boxes_table(boxes), detections_table(detections))


def model(quality: float, shout: float = 0.0) -> ModelPredictions:
    return ModelPredictions(predictions(1, quality, shout), predictions(2, quality, shout))


def verdict(champion, challenger):
    comparison = compare(champion, challenger, LABELS, "scooter", 0.8, dict.fromkeys(LABELS, 0.5))
    return judge(comparison.evidence, "scooter", GateSettings()), comparison


def test_a_better_model_is_pushed():
    judgement, comparison = verdict(model(1.0), model(2.5))
    assert judgement.verdict == "push"
    assert judgement.statuses == {"car": "unchanged", "scooter": "lifted"}
    target = comparison.evidence[1]
    assert target.recall.change == pytest.approx(target.challenger_recall - target.champion_recall)
    given = 1.645 * np.sqrt(0.98 * 0.02 / 200)  # at a threshold that were known
    assert target.challenger_recall_upper > target.challenger_recall + given


def test_shouting_is_no_lift():
    """The same ranking with every score of the target raised: found at 0.5, but not better."""
    judgement, comparison = verdict(model(1.0), model(1.0, shout=3.0))
    at_shared_threshold = comparison.challenger.objects["score"].gt(0.5).mean()
    assert at_shared_threshold > 0.9
    assert judgement.verdict == "refuse"
    assert judgement.statuses["scooter"] == "not lifted"


def test_the_same_model_is_refused():
    judgement, _ = verdict(model(1.0), model(1.0))
    assert judgement.verdict == "refuse"


def test_missing_images_are_an_error():
    split = [name for name in ("eval", "test") for _ in IMAGES]
    snapshot = pa.table({"image_id": [*IMAGES, *IMAGES], "split": split})
    whole = model(1.0)
    require_all("champion", whole, snapshot)
    short = replace(whole.test, image_ids=IMAGES[:-1])
    with pytest.raises(EvaluationError, match=r"predictions for 199 images of test.*'image 199'"):
        require_all("champion", replace(whole, test=short), snapshot)
    twice = replace(whole.test, image_ids=(*IMAGES, IMAGES[0]))
    with pytest.raises(EvaluationError, match="predictions for 201 images of test"):
        require_all("champion", replace(whole, test=twice), snapshot)


def test_same_bits_sees_the_last_bit():
    row = ("a", "car", np.float32(0.5), *BOX)
    table = detections_table([row, ("a", "scooter", 0.1, *BOX)])
    nudged = detections_table(
        [
            ("a", "car", np.nextafter(np.float32(0.5), np.float32(1)), *BOX),
            ("a", "scooter", 0.9, *BOX),
        ]
    )
    assert same_bits(table, table, "car")
    assert not same_bits(table, nudged, "car")
    assert not same_bits(table, nudged, "scooter")
    assert same_bits(table, nudged, "tram")  # neither finds any


def test_other_images_are_no_comparison():
    champion = model(1.0)
    fewer = Predictions(IMAGES[1:], champion.test.boxes, champion.test.detections)
    with pytest.raises(EvaluationError, match="different images of test"):
        verdict(champion, ModelPredictions(champion.eval, fewer))
