"""Two answers for one image: the same detections, in whatever order, or not."""

import numpy as np
import pytest

from classlift.serving.probe import difference

pytestmark = pytest.mark.pipeline


def answer(*detections, places=4):
    """Each a score, a class and where the box's upper left corner is; places left are padding."""
    found = [*detections, *[(0.0, 1.0, 0.0)] * (places - len(detections))]
    scores, classes, corners = np.array(found, np.float32).T
    return {
        "detection_scores": scores,
        "detection_classes": classes,
        "detection_boxes": np.stack([corners, corners, corners + 0.1, corners + 0.1], axis=-1),
        "num_detections": np.float32(len(detections)),
    }


CAT, DOG = (0.9, 1.0, 0.2), (0.9, 2.0, 0.5)


def test_ties_may_stand_in_any_order():
    assert difference(answer(CAT, DOG), answer(DOG, CAT)) == 0


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ((0.8, 2.0, 0.5), 0.1),
        ((0.9, 2.0, 0.7), 0.2),
        ((0.9, 1.0, 0.5), 0.9),
    ],
    ids=["score", "box", "class"],
)
def test_what_differs_counts(other, expected):
    assert difference(answer(CAT, DOG), answer(CAT, other)) == pytest.approx(expected)
    assert difference(answer(CAT, other), answer(CAT, DOG)) == pytest.approx(expected)


def test_a_detection_more_is_a_difference():
    assert difference(answer(CAT), answer(CAT, DOG)) == 1
    assert difference(answer(CAT, DOG), answer(CAT)) == 1


def test_the_last_place_may_go_to_one_as_likely():
    full, other = answer(CAT, DOG, places=2), answer(CAT, (0.89999, 2.0, 0.8), places=2)
    assert difference(full, other) < 1e-4


def test_what_is_no_number_is_a_difference():
    assert not difference(answer(CAT), answer((np.nan, 1.0, 0.2))) <= 1e9
