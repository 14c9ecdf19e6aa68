"""Each cause alone, in hand-made matches: twenty scooters, twenty cars, one of each an image."""

import pandas as pd
import pytest

from classlift.diagnosis.causes import (
    ARCHITECTURE,
    FEW,
    IMBALANCE,
    LABELS,
    OVERLAP,
    OverlapFigures,
    Study,
    find_causes,
)
from classlift.diagnosis.probe import Point
from classlift.metrics.matching import match
from tests.classlift.conftest import boxes_table, detections_table

pytestmark = pytest.mark.unit
IMAGES = [f"{i:02d}" for i in range(20)]
SCOOTER, CAR, NOWHERE = (0, 0, 10, 10), (20, 20, 40, 40), (60, 60, 80, 80)
BALANCED = {"car": 500, "scooter": 500}
STEEP = (Point(5, 0.0, 0.8), Point(10, 0.0, 0.4), Point(20, 0.1, 0.2))
FLAT_LOW = (Point(125, 0.1, 0.5), Point(250, 0.1, 0.5), Point(500, 0.1, 0.5))
FLAT_HIGH = (Point(125, 0.9, 0.1), Point(250, 0.9, 0.1), Point(500, 0.9, 0.1))


def matches(found=10, extra=()):
    """The champion finds all cars and so many of the scooters; extra: further detections."""
    boxes = [(i, "scooter", *SCOOTER) for i in IMAGES] + [(i, "car", *CAR) for i in IMAGES]
    seen = [(i, "scooter", 0.8, *SCOOTER) for i in IMAGES[:found]]
    seen += [(i, "car", 0.9, *CAR) for i in IMAGES]
    rows = detections_table([*seen, *extra])
    return match(boxes_table(boxes), rows, IMAGES, ("car", "scooter"))


def sides(smaller):
    """So many of the scooters are six pixels large, the others twenty."""
    index = pd.MultiIndex.from_tuples([(image, k) for k, image in enumerate(IMAGES)])
    return pd.Series([6.0] * smaller + [20.0] * (20 - smaller), index)


@pytest.mark.parametrize(
    ("study", "cause", "score", "words"),
    [
        # twenty objects are few, whatever the curve says
        (
            {"trained_on": {"car": 20, "scooter": 20}, "curve": STEEP},
            FEW,
            0.5 / (1 + (20 / 30) ** 2),
            "twice as many promise a recall of 75% instead of 50%",
        ),
        # three hundred are not, but the error still falls by half with every doubling
        (
            {"trained_on": {"car": 300, "scooter": 300}, "curve": STEEP},
            FEW,
            0.5 * (1 - 1 / 3) * 0.9,
            "on 5 to 20 of the train split, twice as many promise",
        ),
        # a tenth of an even share, and a probe with even weight finds 90%
        (
            {"trained_on": {"car": 950, "scooter": 50}, "curve": FLAT_HIGH},
            IMBALANCE,
            0.9 * 0.4,
            "tells 90% of the class from the rest. The champion, which has to find their places "
            "too, finds 50%",
        ),
        # half of the gap to the cars is where features do not tell them apart
        (
            {"trained_on": BALANCED, "curve": FLAT_LOW, "apart": {"car": 0.5}},
            OVERLAP,
            0.5 * 0.5 * (1 - 1 / (1 + (500 / 30) ** 2)),
            "Class car is nearest to class scooter",
        ),
        # the ten that are missed are those that no anchor fits
        (
            {"trained_on": BALANCED, "smallest": 11.3, "sides": sides(10)[::-1]},
            ARCHITECTURE,
            0.0,
            "50% of the objects of class scooter are smaller than 11 pixels",
        ),
        # without a probe, by number: a hundred objects, half of the gap
        ({"trained_on": {"car": 30, "scooter": 30}}, FEW, 0.25, "on 30 objects"),
        (
            {"trained_on": {"car": 30, "scooter": 30}, "is_assumed": True},
            FEW,
            0.25,
            "The train split has 30 objects of class scooter, and stands for what",
        ),
        (
            {"trained_on": {"car": 2970, "scooter": 30}, "is_assumed": True},
            IMBALANCE,
            0.5 * 0.98 * 0.5,
            "1.0% of the boxes of the train split are of class scooter",
        ),
        ({"trained_on": {"car": 2970, "scooter": 30}}, IMBALANCE, 0.5 * 0.98 * 0.5, "1.0%"),
    ],
)
def test_scores(study, cause, score, words):
    causes = find_causes(Study("scooter", 0.8, matches(), **study))
    found = next(c for c in causes if c.name == cause)
    assert found.score == pytest.approx(score, abs=1e-6)
    assert words in found.sentence
    assert [c.score for c in causes] == sorted((c.score for c in causes), reverse=True)


@pytest.mark.parametrize(
    ("smaller", "score"),
    [
        (0, 0.0),  # all are large enough: it is no matter of size
        (10, 0.5),  # the ten small ones are missed, of the others all are found
        (20, 0.5),  # all are small: the cars' recall is what could be
    ],
)
def test_small_objects(smaller, score):
    small_last = sides(smaller)
    small_last = pd.Series(small_last.to_numpy()[::-1], small_last.index)  # the last are missed
    study = Study("scooter", 0.8, matches(), BALANCED, sides=small_last, smallest=11.3)
    found = next(c for c in find_causes(study) if c.name == ARCHITECTURE)
    assert found.score == pytest.approx(score)


@pytest.mark.parametrize(
    ("extra", "missing", "wrong"),
    [
        ([], 0, 0),
        ([("19", "scooter", 0.85, *NOWHERE)], 1, 0),  # something is there that nobody labelled
        ([("19", "scooter", 0.85, *CAR)], 0, 0),  # the car scores as well: a confusion
        ([(i, "scooter", 0.1, *NOWHERE) for i in IMAGES[:3]], 0, 0),  # below the threshold
    ],
)
def test_doubted_labels(extra, missing, wrong):
    causes = find_causes(Study("scooter", 0.8, matches(extra=extra), BALANCED))
    found = next(c for c in causes if c.name == LABELS)
    assert (found.figures.missing, found.figures.wrong) == (missing, wrong)
    assert (found.score > 0) == bool(missing or wrong)


def test_a_model_that_is_mostly_wrong_doubts_no_label():
    """Its surest detections are of nothing."""
    extra = [(i, "scooter", 0.95, *NOWHERE) for i in IMAGES]
    causes = find_causes(Study("scooter", 0.8, matches(found=2, extra=extra), BALANCED))
    assert next(c for c in causes if c.name == LABELS).score == 0


def test_a_label_of_another_class_that_hardly_scores():
    boxes = boxes_table([(i, "scooter", *SCOOTER) for i in IMAGES] + [("00", "car", *CAR)])
    seen = [(i, "scooter", 0.8, *SCOOTER) for i in IMAGES[:10]] + [("00", "scooter", 0.85, *CAR)]
    for car_scores, wrong in ((0.1, 1), (0.7, 0)):
        rows = detections_table([*seen, ("00", "car", car_scores, *CAR)])
        found = match(boxes, rows, IMAGES, ("car", "scooter"))
        cause = next(
            c for c in find_causes(Study("scooter", 0.8, found, BALANCED)) if c.name == LABELS
        )
        assert cause.figures.wrong == wrong


def test_confusion_stands_in_where_there_is_no_probe():
    boxes = boxes_table(
        [(i, "scooter", *SCOOTER) for i in IMAGES] + [(i, "car", *CAR) for i in IMAGES]
    )
    rows = [(i, "scooter", 0.8, *SCOOTER) for i in IMAGES[:15]]
    rows += [(i, "car", 0.7, *SCOOTER) for i in IMAGES[15:19]]
    rows += [(i, "car", 0.8, *CAR) for i in IMAGES[:16]]
    rows += [(i, "scooter", 0.79, *CAR) for i in IMAGES[16:18]]
    found = match(boxes, detections_table(rows), IMAGES, ("car", "scooter"))
    cause = next(
        c for c in find_causes(Study("scooter", 0.8, found, BALANCED)) if c.name == OVERLAP
    )
    assert cause.figures == OverlapFigures("car", pytest.approx(0.1))  # 4 and 2 of 20
