import numpy as np
import pytest

from classlift.metrics.curves import NEVER, operating_points, precision_recall_curve, recall_at
from classlift.metrics.matching import match
from tests.classlift.conftest import boxes_table, detections_table
from tests.classlift.metrics import plain
from tests.classlift.metrics.test_matching import LABELS, crowded_case

pytestmark = pytest.mark.unit


def matches_of(*scored: tuple[float, bool]):
    """One class, ten objects in ten images; each detection finds the next object or nothing."""
    images = [f"{i}" for i in range(10)]
    boxes = boxes_table([(image, "car", 0, 0, 10, 10) for image in images])
    rows = [
        (images[i], "car", score, *((0, 0, 10, 10) if hit else (50, 50, 60, 60)))
        for i, (score, hit) in enumerate(scored)
    ]
    return match(boxes, detections_table(rows), images, ("car",))


@pytest.mark.parametrize(
    ("scored", "precision", "point", "recall"),
    [
        # the lowest threshold with the precision, past a dip
        ([(0.9, True), (0.8, False), (0.7, True), (0.6, True), (0.5, True)], 0.8, 0.5, 0.4),
        # detections with one score stand or fall together
        ([(0.9, True), (0.5, True), (0.5, False), (0.5, False)], 0.8, 0.9, 0.1),
        # never reached: the class is silent
        ([(0.9, False), (0.8, False)], 0.8, NEVER, 0.0),
        # no detection at all
        ([], 0.8, NEVER, 0.0),
    ],
)
def test_operating_point(scored, precision, point, recall):
    matches = matches_of(*scored)
    points = operating_points(matches, precision)
    assert points["car"] == pytest.approx(point)
    assert recall_at(matches, points)["car"] == pytest.approx(recall)


def test_a_fixed_score_threshold_is_every_class_s():
    assert operating_points(matches_of((0.9, False)), 0.8, 0.4) == {"car": 0.4}


def test_curve():
    curve = precision_recall_curve(matches_of((0.9, True), (0.8, False), (0.8, True)), "car")
    assert curve.scores.tolist() == pytest.approx([0.9, 0.8])
    assert curve.precision.tolist() == pytest.approx([1.0, 2 / 3])
    assert curve.recall.tolist() == pytest.approx([0.1, 0.2])


def test_recall_of_a_class_without_objects_is_nan():
    images = ["a"]
    matches = match(
        boxes_table([("a", "car", 0, 0, 1, 1)]), detections_table([]), images, ("car", "scooter")
    )
    recalls = recall_at(matches, {"car": 0.5, "scooter": 0.5})
    assert recalls["scooter"] != recalls["scooter"]


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_plain_way(seed):
    matches = match(*crowded_case(seed), (*LABELS, "tram"))
    for label in matches.labels:
        fast, slow = (way(matches, label) for way in (precision_recall_curve, plain.curve))
        for name in ("scores", "precision", "recall"):
            np.testing.assert_array_equal(getattr(fast, name), getattr(slow, name))
