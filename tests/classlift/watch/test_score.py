from dataclasses import replace

import pytest

from classlift.serving.provenance import Provenance
from classlift.watch.score import Figures, Promise, fallen, judged, score, sentences
from tests.classlift.conftest import boxes_table, detections_table

pytestmark = pytest.mark.unit
BOX = (10.0, 10.0, 30.0, 30.0)


def scored(objects: int, found: int, floor: float | None, by_image: int = 1) -> dict[str, Figures]:
    """Figures of class car: of so many objects, the last ones found at 0.9 where 0.5 is asked."""
    boxes = [
        (f"{n // by_image}", "car", *(side + 50 * (n % by_image) for side in BOX))
        for n in range(objects)
    ]
    seen = [(image, label, 0.9, *box) for image, label, *box in boxes[objects - found :]]
    unsure = [(image, label, 0.4, *box) for image, label, *box in boxes[: objects - found]]
    images = sorted({image for image, *_ in boxes} | {"empty"})
    floors = {} if floor is None else {"car": floor}
    detections = detections_table(seen + unsure)
    points = {"car": 0.5, "tram": 0.5}
    return score(boxes_table(boxes), detections, images, points, floors)


@pytest.mark.parametrize(
    ("objects", "found", "floor", "by_image", "fell"),
    [
        (100, 30, 0.6, 1, True),  # far below, with many objects
        (100, 55, 0.6, 1, False),  # below, but not for sure
        (100, 90, 0.6, 1, False),
        (100, 30, None, 1, False),  # nothing is asked of it
        (100, 30, 0.0, 1, False),
        (1, 0, 0.9, 1, False),  # a single object, missed
        (2, 0, 0.77, 1, False),
        (20, 0, 0.9, 20, False),  # many, all in one image
        (20, 0, 0.3, 1, True),  # as many, each in its own
        (0, 0, 0.9, 1, False),  # none at all
    ],
)
def test_what_fell(objects, found, floor, by_image, fell):
    classes = scored(objects, found, floor, by_image)
    car = classes["car"]
    assert car.fell is fell
    assert fallen(classes) == (["car"] if fell else [])
    assert car.objects == objects
    if objects:
        assert car.recall == found / objects
        assert 0 <= car.lower <= car.recall <= car.upper <= 1
    else:
        assert car.recall is car.lower is car.upper is None


def test_precision_counts_what_is_served():
    boxes = boxes_table([("a", "car", *BOX)])
    wrong = (60.0, 60.0, 90.0, 90.0)
    seen = [("a", "car", 0.9, *BOX), ("a", "car", 0.8, *wrong), ("a", "car", 0.3, *wrong)]
    classes = score(boxes, detections_table(seen), ["a"], {"car": 0.5, "tram": 0.5}, {})
    assert classes["car"].precision == 0.5
    assert classes["tram"].precision is None  # it detects none


def figures(recall: float | None, upper: float | None, **more: object) -> Figures:
    return replace(Figures(9, recall, 0.0, upper, precision=1.0), **more)


CLASSES = judged(
    {
        "a": figures(0.5, 0.55),
        "b": figures(0.2, 0.3),
        "c": figures(0.5, 0.7),
        "d": figures(None, None),
        "e": figures(0.9, 0.95),
        "f": figures(0.1, 0.2),
    },
    {"a": 0.6, "b": 0.6, "c": 0.6, "d": 0.6, "e": 0.6},
)


def test_the_furthest_below_comes_first():
    assert fallen(CLASSES) == ["b", "a"]


def test_what_is_said():
    assert sentences(CLASSES) == [
        "Class b fell below its floor of 0.60: its recall is 0.200, at most 0.300 (9 objects).",
        "Class a fell below its floor of 0.60: its recall is 0.500, at most 0.550 (9 objects).",
        "Class c: can't tell whether it is below its floor of 0.60: its recall is 0.500 and may be "
        "up to 0.700 (9 objects); label more of it.",
        "Class d: the data have no object of it, so nothing can be said.",
        "1 class is on or above its floor.",
    ]


def test_other_floors_judge_anew():
    again = judged(CLASSES, {"f": 0.5})
    assert fallen(again) == ["f"]
    assert again["a"].floor is None


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        ({"precision": 0.8, "operating_points": "guaranteed"}, (True, True)),
        ({"precision": 0.8, "operating_points": "measured"}, (False, False)),
        ({"precision": 0.8, "score_threshold": 0.4}, ()),  # fixed: for no precision
        (None, ()),  # of a version by an earlier ClassLift
    ],
)
def test_what_a_version_promises(thresholds, expected):
    provenance = Provenance(targets=("car", "van"), thresholds=thresholds)
    promises = tuple(
        Promise(label, 0.8, sure) for label, sure in zip(provenance.targets, expected, strict=False)
    )
    assert Promise.all_of(provenance) == promises


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        (90, 10, "eval guaranteed a precision of 0.80; here it is 0.900."),
        (3, 1, "here it is 0.750."),  # of few, that is no loss for sure
        (50, 50, "it is lost."),
        (0, 0, "nothing of it was detected here."),
    ],
)
def test_what_became_of_a_promise(right, wrong, words):
    boxes = boxes_table([(f"{n}", "car", *BOX) for n in range(right)])
    far = (60.0, 60.0, 90.0, 90.0)
    seen = [(f"{n}", "car", 0.9, *(BOX if n < right else far)) for n in range(right + wrong)]
    images = [f"{n}" for n in range(101)]
    classes = score(boxes, detections_table(seen), images, {"car": 0.5}, {})
    car = classes["car"]
    assert (car.precision is None) == (car.precision_upper is None) == (right == 0)
    assert Promise("car", 0.8, True).sentence(classes).endswith(words)
