"""Whether eval is large enough, and what is said where it is not."""

import pytest
from scipy import stats

from classlift.diagnosis.eval_size import (
    MARGIN,
    MISS,
    EvalSize,
    least_right,
    units_for_guaranteed,
    units_for_measured,
)
from classlift.metrics.guarantee import CONFIDENCE, least_units

pytestmark = pytest.mark.unit
PRECISIONS = (0.5, 0.8, 0.9, 0.95)


@pytest.mark.parametrize("precision", [0.5, 0.8, 0.9])
def test_with_enough_for_measured_points_the_miss_is_small(precision):
    """Of a binomial, whose share of right ones in eval is as asked and misses elsewhere."""
    enough = units_for_measured(precision)
    for units, mostly in ((enough * 2, True), (enough // 4, False)):
        missed = stats.binom.cdf(units * (precision - MISS), units, precision)
        assert (missed <= 1 - CONFIDENCE) == mostly


@pytest.mark.parametrize("precision", PRECISIONS)
def test_with_enough_for_a_guarantee_little_more_must_be_right(precision):
    enough = units_for_guaranteed(precision)
    more = least_right(enough, precision) / enough - precision
    assert more == pytest.approx(min(MARGIN, (1 - precision) / 2), abs=0.02)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_with_the_least_units_all_must_be_right(precision):
    least = least_units(precision)
    assert least_right(least, precision) == least
    with pytest.raises(StopIteration):
        least_right(least - 1, precision)


@pytest.mark.parametrize(
    ("units", "asked", "stops", "words"),
    [
        (300, "measured", False, ""),
        (27, "measured", False, ""),
        (26, "measured", False, "about 1 more labelled object of it in images of their own"),
        (1, "measured", False, "Eval shows class 8 in 1 image or scene: a threshold"),
        (300, "guaranteed", False, ""),
        (106, "guaranteed", False, ""),
        (50, "guaranteed", False, "with one found in each, 45 would have to be right"),
        (11, "guaranteed", False, "about 95 more labelled objects of it"),
        (10, "guaranteed", True, "label class 8 in at least 1 more images of eval"),
    ],
)
def test_what_is_said(units, asked, stops, words):
    size = EvalSize("8", units, 0.80, asked)
    assert (size.stop is not None) == stops
    said = size.stop or size.advice()
    assert words in said
    assert bool(said) == bool(words)
