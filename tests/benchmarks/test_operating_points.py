import numpy as np
import pytest
from scipy import stats

from benchmarks import operating_points
from benchmarks.operating_points import (
    CONFIDENCE,
    DETECTORS,
    LABEL,
    PRECISION,
    best,
    by_betting,
    by_binomial,
    in_sequence,
    on_predictions,
    results,
)
from classlift.data.predictions import Predictions
from classlift.metrics.curves import NEVER, operating_point, precision_at
from classlift.metrics.guarantee import ladder
from tests.classlift.conftest import boxes_table, detections_table

pytestmark = pytest.mark.unit
TYPICAL = DETECTORS[0]


@pytest.mark.parametrize("together", [1, 4])
def test_betting_is_rarely_wrong_and_the_binomial_only_of_independent_detections(together):
    """Of units whose detections are all right or all wrong, at just the precision asked for."""
    rng, wrong = np.random.default_rng(0), {by_binomial: 0, by_betting: 0}
    trials = 300
    for _ in range(trials):
        right = (rng.random(100) < PRECISION) * float(together)
        for test in wrong:
            wrong[test] += test(right, together - right) <= 1 - CONFIDENCE
    most = stats.binom.ppf(0.999, trials, 1 - CONFIDENCE)
    assert wrong[by_betting] <= most
    assert (wrong[by_binomial] <= most) == (together == 1)


def test_a_sequence_ends_at_the_first_threshold_that_does_not_pass():
    found = TYPICAL.draw(np.random.default_rng(1), 300).matches(300, 1)
    steps = ladder(found, LABEL)
    for least in (0.85, 0.9):

        def as_measured(right, wrong, least=least):
            return 0.0 if right.sum() / (right + wrong).sum() >= least else 1.0

        point = in_sequence(steps, as_measured)
        assert precision_at(found, LABEL, point) >= least
        assert point > operating_point(found, LABEL, PRECISION)
    assert in_sequence(steps, lambda right, wrong: 1.0) == NEVER


def test_real_detections_are_read_on_the_images_that_were_not_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(operating_points, "IMAGES", (30,))
    box, far = (0.0, 0.0, 10.0, 10.0), (50.0, 50.0, 60.0, 60.0)
    for split in ("eval", "test"):
        images = tuple(f"{split} {n}" for n in range(40))
        right = [(image, "car", 0.9 - n / 1000, *box) for n, image in enumerate(images)]
        wrong = [(image, "car", 0.1, *far) for image in images]
        boxes = boxes_table([(image, "car", *box) for image in images])
        Predictions(images, boxes, detections_table(right + wrong)).write(tmp_path / split)
    on_predictions(tmp_path, draws=3)
    title, *_, row = capsys.readouterr().out.splitlines()
    assert title == "80 images, 1 classes"
    # The threshold is the lowest score of a right one that was drawn; some others' are lower.
    assert row == "| 30 | 100.0% | 0.97 | 100.0% | 0.97 | 0% |"


def test_each_way_is_read_on_other_images():
    found = results(TYPICAL, 100, 6)
    recall = {way: np.mean([r.recall for r in of_way]) for way, of_way in found.items()}
    assert recall["betting"] < recall["guaranteed"] < recall["measured"]
    assert recall["measured"] == pytest.approx(best(TYPICAL), abs=0.1)
    assert not all(r.holds for r in found["measured"])
    for r in (r for of_way in found.values() for r in of_way):
        assert r.is_there or (r.holds and r.recall == 0)
