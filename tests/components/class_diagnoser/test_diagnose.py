import pytest

from components.class_diagnoser.diagnose import (
    BRANCH_WEIGHT,
    MAX_CLASS_WEIGHT,
    choose_recipe,
    gather,
    sentences,
)
from components.metrics.matching import match
from tests.components.conftest import boxes_table, detections_table

pytestmark = pytest.mark.unit
BOX = (0.0, 0.0, 10.0, 10.0)


def evidence(boxes_after):
    """Ten scooters; the champion finds six with a score of 0.4, four not at all."""
    images = [str(i) for i in range(10)]
    boxes = boxes_table([(i, "scooter", *BOX) for i in images] + [(i, "car", *BOX) for i in images])
    found = [(i, "scooter", 0.4, *BOX) for i in images[:6]]
    found += [(i, "car", 0.9, *BOX) for i in images]
    matches = match(boxes, detections_table(found), images, ("car", "scooter"))
    rebalancing = {"boxes_before": {"car": 90, "scooter": 10}, "boxes_after": boxes_after}
    return gather(matches, "scooter", 0.8, {"car": 0.5, "scooter": 0.5}, rebalancing)


def test_recalibration_is_told_apart_from_deployment():
    e = evidence({"car": 50, "scooter": 50})
    assert (e.deployed, e.recalibrated, e.others) == (0.0, 0.6, 1.0)
    words = " ".join(sentences(e, 0.8))
    assert "finds 0% of class scooter at its threshold in production, and 60%" in words
    assert "10 boxes of class scooter, 50 after rebalancing: 50% of all boxes" in words


@pytest.mark.parametrize(
    ("boxes_after", "weights"),
    [
        ({"car": 50, "scooter": 50}, {}),  # an even share needs no weight
        ({"car": 30, "scooter": 70}, {}),  # more than even: a weight would overshoot
        ({"car": 75, "scooter": 25}, {"scooter": 2.0}),  # half an even share
        ({"car": 99, "scooter": 1}, {"scooter": MAX_CLASS_WEIGHT}),  # capped
    ],
)
def test_class_weight_follows_the_share(boxes_after, weights):
    recipe, reasons = choose_recipe(evidence(boxes_after), "backbone")
    assert (recipe.freeze_policy, recipe.class_weights) == ("backbone", weights)
    assert len(reasons) == 2


def test_a_branch_is_the_default():
    recipe, reasons = choose_recipe(evidence({"car": 99, "scooter": 1}))
    assert (recipe.freeze_policy, recipe.class_weights) == (
        "target-branch",
        {"scooter": BRANCH_WEIGHT},
    )
    assert "no other class can change by a bit" in reasons[0]
