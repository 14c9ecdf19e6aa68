"""Several targets of one challenger, judged one by one."""

from dataclasses import replace

import pytest

from classlift.data.predictions import Predictions
from classlift.errors import EvaluationError
from classlift.gate.evidence import ModelPredictions
from classlift.gate.predictions import gate_predictions
from classlift.gate.several import gate_each
from classlift.gate.verdict import LIFTED, NOT_LIFTED, PUSH, REFUSE, UNCHANGED
from tests.classlift.conftest import boxes_table, detections_table

pytestmark = pytest.mark.unit
IMAGES = tuple(f"{n}.jpg" for n in range(60))
PLACES = {"bike": 10, "car": 40, "motobike": 70}
"""Each image shows one object of each class, by where it begins."""


def model(**found):
    """A model that finds each class in the first so many images, with the score 0.9."""
    boxes = [(i, c, x, 10, x + 20, 30) for i in IMAGES for c, x in PLACES.items()]
    detections = [
        (i, c, 0.9, x, 10, x + 20, 30)
        for c, x in PLACES.items()
        for i in IMAGES[: found.get(c, 60)]
    ]
    split = Predictions(IMAGES, boxes_table(boxes), detections_table(detections))
    return ModelPredictions(split, split)


CHAMPION = model(bike=20, motobike=20)


def test_each_target_is_judged_as_if_it_alone_were_pushed():
    given = gate_each(CHAMPION, model(bike=50, motobike=19), ["motobike", "bike"])
    assert list(given) == ["motobike", "bike"]
    bike, motobike = given["bike"].verdict, given["motobike"].verdict
    assert (bike.verdict, motobike.verdict) == (PUSH, REFUSE)
    assert bike.classes["bike"].status == LIFTED
    assert motobike.classes["motobike"].status == NOT_LIFTED
    # What one target loses is no loss of a push without it.
    assert bike.classes["motobike"].status == motobike.classes["bike"].status == UNCHANGED
    assert bike.classes["car"].status == UNCHANGED
    alone = gate_predictions(CHAMPION, model(bike=50, motobike=20), "bike").verdict
    assert bike.classes["bike"].lift == alone.classes["bike"].lift


def test_targets_share_the_error_of_the_bounds():
    challenger = model(bike=30, motobike=50)
    one = gate_predictions(CHAMPION, model(bike=30, motobike=20), "bike", use=3).verdict
    two = gate_each(CHAMPION, challenger, ["bike", "motobike"], use=3)["bike"].verdict
    assert two.test_uses == one.test_uses == 3
    assert 1 - two.confidence == pytest.approx((1 - one.confidence) / 2)
    assert two.classes["bike"].lower_bound < one.classes["bike"].lower_bound


def test_one_target_is_judged_as_ever():
    challenger = model(bike=50, motobike=20)
    [found] = gate_each(CHAMPION, challenger, ["bike"]).values()
    assert found.verdict == gate_predictions(CHAMPION, challenger, "bike").verdict


@pytest.mark.parametrize(
    ("challenger", "targets", "words"),
    [
        (model(bike=50, car=59), ["bike", "motobike"], "Class car has changed too and is no targ"),
        (model(bike=50, motobike=30), ["bike"], "Class motobike has changed too"),
        (model(bike=50), [], "at least one and each once"),
        (model(bike=50), ["bike", "bike"], "at least one and each once"),
        (model(), ["bike", "motobike", "tram"], "No class is called 'tram'"),
    ],
)
def test_what_can_not_be_judged_one_by_one_is_a_sentence(challenger, targets, words):
    with pytest.raises(EvaluationError, match=words):
        gate_each(CHAMPION, challenger, targets)


def test_other_images_are_a_sentence():
    fewer = Predictions(IMAGES[1:], CHAMPION.test.boxes, CHAMPION.test.detections)
    with pytest.raises(EvaluationError, match="different images of test"):
        gate_each(CHAMPION, replace(CHAMPION, test=fewer), ["bike"])
