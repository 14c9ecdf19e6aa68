import pytest

from classlift.metrics.confusion import confusion_matrix
from classlift.metrics.matching import match
from tests.classlift.conftest import boxes_table, detections_table
from tests.classlift.metrics import plain
from tests.classlift.metrics.test_matching import LABELS, crowded_case

pytestmark = pytest.mark.unit


def test_confusion_with_background():
    boxes = boxes_table(
        [
            ("a", "car", 0, 0, 10, 10),  # found
            ("a", "scooter", 20, 20, 30, 30),  # taken for a car
            ("b", "car", 0, 0, 10, 10),  # missed
        ]
    )
    detections = detections_table(
        [
            ("a", "car", 0.9, 0, 0, 10, 10),
            ("a", "car", 0.8, 20, 20, 30, 30),
            ("b", "scooter", 0.7, 50, 50, 60, 60),  # nothing there
            ("b", "car", 0.1, 0, 0, 10, 10),  # below the threshold
        ]
    )
    matches = match(boxes, detections, ["a", "b"], ("car", "scooter"))
    table = confusion_matrix(matches, {"car": 0.5, "scooter": 0.5})
    assert table.tolist() == [[1, 0, 1], [1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.1])  # all, some, none of the detections
@pytest.mark.parametrize("seed", range(5))
def test_equals_the_plain_way(seed, threshold):
    matches = match(*crowded_case(seed), LABELS)
    points = {"car": threshold, "scooter": 0.3}
    fast, slow = (way(matches, points) for way in (confusion_matrix, plain.confusion_matrix))
    assert fast.tolist() == slow.tolist()
