import numpy as np
import pytest

from classlift.metrics import overlaps
from classlift.metrics.iou import iou_matrix
from classlift.metrics.matching import match
from tests.classlift.metrics.test_matching import LABELS, crowded_case

pytestmark = pytest.mark.unit
SIDES = ["xmin", "ymin", "xmax", "ymax"]


@pytest.mark.parametrize("at_once", [1, 7, 10_000])  # detections
def test_equals_all_pairs(monkeypatch, at_once):
    monkeypatch.setattr(overlaps, "_AT_ONCE", at_once)
    matches = match(*crowded_case(0), LABELS)
    rows = np.random.default_rng(0).permutation(len(matches.detections))[:50]
    found = overlaps.overlaps(matches, rows, 0.1)
    detections = matches.detections.iloc[rows]
    shares = iou_matrix(detections[SIDES].to_numpy(float), matches.objects[SIDES].to_numpy(float))
    images = (table["image_id"].to_numpy() for table in (detections, matches.objects))
    near = np.equal.outer(*images) & (shares >= 0.1)
    expected_rows, expected_objects = near.nonzero()
    assert found.detections.tolist() == rows[expected_rows].tolist()
    assert found.objects.tolist() == expected_objects.tolist()
    np.testing.assert_array_equal(found.iou, shares[near])
