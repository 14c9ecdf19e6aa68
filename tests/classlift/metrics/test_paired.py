import numpy as np
import pytest

from classlift.metrics.curves import average_precision
from classlift.metrics.matching import Matches, match
from classlift.metrics.paired import SAME_BOXES, ap50_change, mean_iou_change
from tests.classlift.conftest import boxes_table, detections_table
from tests.classlift.metrics.test_matching import LABELS, random_case
from tests.classlift.metrics.test_resampling import drawn

pytestmark = pytest.mark.unit
IMAGES = tuple(f"image {i}" for i in range(40))
ALL = dict.fromkeys(LABELS, 0.0)


def plain_ap(matches: Matches, label: str) -> float:
    """The mean of the precision at each object that was found; 0 where one was not."""
    rows = matches.ranked_detections[label]
    is_match = matches.detections["is_match"].to_numpy(bool)[rows]
    precision = np.cumsum(is_match) / np.arange(1, len(rows) + 1)
    return precision[is_match].sum() / len(matches.ranked_objects[label])


def test_the_change_is_the_plain_one_and_near_cocos():
    before, after = (match(*random_case(seed), LABELS) for seed in (1, 1))
    assert ap50_change(before, after, "car").change == 0
    other = with_detections(before, 7)
    change = ap50_change(before, other, "car").change
    assert change == pytest.approx(plain_ap(other, "car") - plain_ap(before, "car"))
    assert change == pytest.approx(coco_ap(other) - coco_ap(before), abs=0.05)


def coco_ap(matches: Matches) -> float:
    rows = matches.ranked_detections["car"]
    is_match = matches.detections["is_match"].to_numpy(bool)[rows]
    return average_precision(is_match, len(matches.ranked_objects["car"]))


def with_detections(matches: Matches, seed: int) -> Matches:
    """The same, every score with noise of its own."""
    rng = np.random.default_rng(seed)
    scores = matches.detections["score"] + rng.normal(0, 0.2, len(matches.detections))
    return Matches(
        matches.image_ids,
        matches.labels,
        matches.objects,
        matches.detections.assign(score=scores),
        matches.ap50,
    )


def test_the_standard_error_is_that_of_resampled_images():
    before = match(*random_case(1), LABELS)
    after = with_detections(before, 7)
    rng = np.random.default_rng(0)
    changes = []
    for _ in range(300):
        weights = rng.multinomial(30, np.full(30, 1 / 30))
        changes.append(
            plain_ap(drawn(after, weights), "car") - plain_ap(drawn(before, weights), "car")
        )
    assert ap50_change(before, after, "car").standard_error == pytest.approx(
        np.std(changes), rel=0.2
    )


def test_a_class_without_objects_has_no_change():
    found = match(*random_case(1), (*LABELS, "tram"))
    assert np.isnan(ap50_change(found, found, "tram").change)
    assert mean_iou_change(found, found, ({"tram": 0.5}, {"tram": 0.5}), "tram") is None


def shifted(shift: float, score: float = 0.9) -> Matches:
    """One car of 20 pixels in each image, found with a box that is so many pixels off."""
    boxes = boxes_table([(image, "car", 0, 0, 20, 20) for image in IMAGES])
    rows = [(image, "car", score, shift, 0, 20 + shift, 20) for image in IMAGES]
    return match(boxes, detections_table(rows), IMAGES, LABELS)


@pytest.mark.parametrize(
    ("shift", "fell"), [(0.0, False), (SAME_BOXES * 5, False), (1.0, True), (6.0, True)]
)
def test_boxes_that_fit_worse(shift, fell):
    before, after, change = mean_iou_change(shifted(0), shifted(shift), (ALL, ALL), "car")
    assert before == 1.0
    assert after == pytest.approx((20 - shift) / (20 + shift))
    assert change.change == pytest.approx(after - before)
    assert (change.p_worse < 0.05) == fell


def test_boxes_are_compared_where_both_find_the_object():
    low = {"car": 0.95, "scooter": 0.95}
    assert mean_iou_change(shifted(0), shifted(0), (ALL, low), "car") is None


def test_simulated_matches_have_no_boxes():
    found = shifted(0)
    bare = Matches(
        found.image_ids, LABELS, found.objects.drop(columns="iou"), found.detections, found.ap50
    )
    assert mean_iou_change(bare, bare, (ALL, ALL), "car") is None
