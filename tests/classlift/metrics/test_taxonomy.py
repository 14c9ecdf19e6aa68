import numpy as np
import pandas as pd
import pytest

from classlift.metrics.curves import average_precision
from classlift.metrics.matching import match
from classlift.metrics.taxonomy import (
    BACKGROUND,
    BOTH,
    CLASSIFICATION,
    DUPLICATE,
    KINDS,
    LOCALISATION,
    MISSED,
    classify,
    costs,
    counts_at,
)
from tests.classlift.conftest import boxes_table, detections_table
from tests.classlift.metrics import plain
from tests.classlift.metrics.test_matching import crowded_case, random_case

pytestmark = pytest.mark.unit
LABELS = ("car", "scooter")
OBJECT = (0, 0, 10, 10)


def case(detections, objects=(("a", "car", *OBJECT),), images=("a", "b")):
    return match(boxes_table(objects), detections_table(detections), images, LABELS)


@pytest.mark.parametrize(
    ("detection", "kind"),
    [
        (("a", "car", 0.9, 0, 0, 10, 9), None),
        (("a", "car", 0.9, 0, 0, 10, 4), LOCALISATION),  # IoU 0.4
        (("a", "scooter", 0.9, 0, 0, 10, 9), CLASSIFICATION),
        (("a", "scooter", 0.9, 0, 0, 10, 4), BOTH),
        (("a", "car", 0.9, 9.5, 9.5, 20, 20), BACKGROUND),  # IoU below 0.1
        (("b", "car", 0.9, 0, 0, 10, 10), BACKGROUND),  # an image without objects
    ],
)
def test_the_kind_of_one_detection(detection, kind):
    matches = case([detection])
    found = classify(matches)
    assert found.errors["error"].tolist() == [kind]
    about = -1 if kind in (None, BACKGROUND) else 0
    assert found.errors["object"].tolist() == [about]
    covered = kind in (None, LOCALISATION, CLASSIFICATION)
    assert found.missed.tolist() == ([] if covered else [0])


def test_the_second_on_the_same_object_is_a_duplicate():
    matches = case([("a", "car", 0.9, *OBJECT), ("a", "car", 0.8, 0, 0, 10, 9)])
    assert classify(matches).errors["error"].tolist() == [None, DUPLICATE]


def test_nothing_found():
    matches = case([])
    assert classify(matches).missed.tolist() == [0]
    assert costs(matches)["car"] == {
        **dict.fromkeys(KINDS, 0.0),
        MISSED: pytest.approx(np.nan, nan_ok=True),
    }


def test_what_each_kind_costs():
    """Two cars; a background at the top score halves the precision, one car is badly boxed."""
    matches = case(
        [
            ("b", "car", 0.9, *OBJECT),  # background
            ("a", "car", 0.8, *OBJECT),  # found
            ("a", "car", 0.7, 50, 50, 60, 54),  # badly boxed
        ],
        [("a", "car", *OBJECT), ("a", "car", 50, 50, 60, 60)],
    )
    before = average_precision(np.array([False, True, False]), 2)
    assert matches.ap50["car"] == pytest.approx(before)
    found = costs(matches)["car"]
    assert found[BACKGROUND] == pytest.approx(
        average_precision(np.array([True, False]), 2) - before
    )
    assert found[LOCALISATION] == pytest.approx(
        average_precision(np.array([False, True, True]), 2) - before
    )
    assert found[MISSED] == found[DUPLICATE] == found[CLASSIFICATION] == found[BOTH] == 0


def test_a_wrong_class_is_mended_by_giving_it_to_the_right_one():
    matches = case([("a", "scooter", 0.9, *OBJECT)])
    found = costs(matches)
    assert found["car"][CLASSIFICATION] == 1.0
    assert np.isnan(found["scooter"][CLASSIFICATION])  # it has no objects


def test_mending_twice_counts_once():
    """Two bad boxes of one object: the better one becomes its match, the other goes."""
    matches = case([("a", "car", 0.9, 0, 0, 10, 4), ("a", "car", 0.8, 0, 0, 10, 3)])
    assert costs(matches)["car"][LOCALISATION] == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(5))
def test_every_false_positive_has_a_kind_and_the_ap_is_cocos(seed):
    boxes, detections, images = random_case(seed)
    matches = match(boxes, detections, images, LABELS)
    found = classify(matches)
    wrong = ~matches.detections["is_match"].to_numpy()
    assert (found.errors["error"].notna() == wrong).all()
    for label in LABELS:
        of_label = matches.detections[matches.detections["label"] == label]
        ordered = of_label.sort_values("score", ascending=False, kind="stable")
        objects = int((matches.objects["label"] == label).sum())
        ours = average_precision(ordered["is_match"].to_numpy(bool), objects)
        assert ours == pytest.approx(matches.ap50[label], abs=1e-9)
    assert all(cost >= -1e-9 for kinds in costs(matches, found).values() for cost in kinds.values())


def test_counts_at_the_operating_point():
    matches = case(
        [("a", "car", 0.9, *OBJECT), ("b", "car", 0.8, *OBJECT), ("b", "car", 0.1, *OBJECT)],
        [("a", "car", *OBJECT), ("a", "car", 50, 50, 60, 60)],
    )
    found = counts_at(matches, classify(matches), {"car": 0.5, "scooter": 0.5}, LABELS)
    assert found["car"] == {**dict.fromkeys(KINDS, 0), BACKGROUND: 1, MISSED: 1}
    assert found["scooter"] == dict.fromkeys(KINDS, 0)


@pytest.mark.parametrize("seed", range(5))
def test_equals_the_plain_way(seed):
    matches = match(*crowded_case(seed), (*LABELS, "tram"))
    found, expected = classify(matches), plain.classify(matches)
    pd.testing.assert_frame_equal(found.errors, expected.errors)
    assert found.missed.tolist() == expected.missed.tolist()
    for label, gains in plain.costs(matches, expected).items():
        assert costs(matches, found)[label] == pytest.approx(gains, abs=1e-12, nan_ok=True)
