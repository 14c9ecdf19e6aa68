"""Guaranteed operating points: the test, the sequence of tests, and what they hold."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from classlift.metrics.curves import NEVER, operating_point, precision_at
from classlift.metrics.guarantee import (
    CONFIDENCE,
    START,
    Ladder,
    guaranteed_point,
    guaranteed_points,
    ladder,
    least_units,
)
from classlift.metrics.matching import Matches
from classlift.metrics.statistics import Shares, count_detections_by_unit, held_share

pytestmark = pytest.mark.unit
PRECISION = 0.80


def matches(rows, objects: int, images: int, frames: int = 1) -> Matches:
    """One class. rows: (image, score, whether it is right) of each detection."""
    detections = pd.DataFrame(rows, columns=["image_id", "score", "is_match"]).assign(label="a")
    right = detections[detections["is_match"].astype(bool)]
    missed = pd.DataFrame({"image_id": [0] * (objects - len(right)), "score": np.nan, "label": "a"})
    found = pd.concat([right[["image_id", "score", "label"]], missed], ignore_index=True)
    units = tuple(str(image // frames) for image in range(images))
    return Matches(tuple(range(images)), ("a",), found, detections, {"a": 0.5}, units)


def drawn(seed: int, images: int, frames: int = 1, luck: float = 0.5) -> Matches:
    """Two objects and three inventions an image on average, which share the luck of their scene."""
    rng = np.random.default_rng(seed)
    scene = rng.normal(size=images // frames).repeat(frames) * luck
    rows = []
    for image in range(images):
        for centre, count, right in ((1.0, 2, True), (-1.0, rng.poisson(3), False)):
            for logit in rng.normal(centre + scene[image], 1.2, count):
                rows.append((image, 1 / (1 + np.exp(-logit)), right))
    return matches(rows, 2 * images, images, frames)


def the_plain_way(found: Matches, precision: float, thresholds: Ladder) -> float:
    """A threshold at a time, by the bound of `held_share`."""
    point, has_begun = NEVER, False
    for score in thresholds.scores:
        counts = count_detections_by_unit(found, {"a": score})
        if counts.wholes.sum() < thresholds.objects * START:
            continue
        all_right = Shares(counts.wholes, counts.wholes, counts.images)
        has_begun |= held_share(all_right, 0, precision, CONFIDENCE)[0] >= precision
        if not has_begun:
            continue
        if held_share(counts, 0, precision, CONFIDENCE)[0] < precision:
            break
        point = score
    return point


@pytest.mark.parametrize(
    ("images", "frames", "luck"),
    [(60, 1, 0.5), (200, 1, 0.5), (200, 1, 2.0), (200, 5, 1.0)],
)
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_plain_way(images, frames, luck, seed):
    found = drawn(seed, images, frames, luck)
    for precision in (0.6, PRECISION):
        point = guaranteed_point(found, "a", precision)
        assert point == the_plain_way(found, precision, ladder(found, "a"))


def test_a_resample_is_the_eval_that_was_drawn():
    """Each unit as often as it was drawn, tested at the thresholds of the whole."""
    found = drawn(3, 100)
    steps, rng = ladder(found, "a"), np.random.default_rng(0)
    weights = rng.multinomial(100, np.full(100, 1 / 100), size=8).T
    points = guaranteed_points(steps, 0.7, weights.astype(np.uint8))
    by_image = dict(iter(found.detections.groupby("image_id")[["score", "is_match"]]))
    for column, point in zip(weights.T, points, strict=True):
        rows = [
            (number, *row)
            for number, image in enumerate(np.repeat(np.arange(100), column))
            if image in by_image
            for row in by_image[image].itertuples(index=False)
        ]
        assert point == the_plain_way(matches(rows, 200, 100), 0.7, steps)
    assert len(set(points)) > 1


@pytest.mark.parametrize("wrong", [0, 1, 4, 13])
def test_of_single_detections_it_is_hardly_stricter_than_the_exact_test(wrong):
    """Clopper and Pearson's of a binomial, at the one threshold that all detections have."""

    def exact(right: int) -> bool:
        return stats.beta.ppf(1 - CONFIDENCE, right, wrong + 1) >= PRECISION

    def ours(right: int) -> bool:
        rows = [(image, 0.5, image < right) for image in range(right + wrong)]
        return guaranteed_point(matches(rows, right, right + wrong), "a", PRECISION) == 0.5

    least = next(right for right in range(1, 200) if exact(right))
    assert not ours(least - 1)
    assert ours(least + 1)


@pytest.mark.parametrize(
    ("precision", "expected"),
    [(0.5, 4), (0.80, 11), (0.90, 22), (0.95, 45)],
)
def test_the_least_units_are_just_enough(precision, expected):
    assert least_units(precision) == expected
    for images, holds in ((expected, True), (expected - 1, False)):
        rows = [(image, 0.9, True) for image in range(images)]
        point = guaranteed_point(matches(rows, images, images), "a", precision)
        assert (point == 0.9) == holds


def test_many_right_detections_in_few_scenes_prove_little():
    rows = [(image, 0.9, True) for image in range(200)]
    assert guaranteed_point(matches(rows, 200, 200), "a", PRECISION) == 0.9
    assert guaranteed_point(matches(rows, 200, 200, frames=25), "a", PRECISION) == NEVER


@pytest.mark.parametrize("rows", [[], [(0, 0.9, True)], [(i, 0.9, False) for i in range(50)]])
def test_where_nothing_can_be_guaranteed_there_is_none(rows):
    assert guaranteed_point(matches(rows, 20, 50), "a", PRECISION) == NEVER


def test_detections_of_one_score_are_let_through_together():
    rows = [(image, 0.9, image % 10 > 0) for image in range(200)]
    assert guaranteed_point(matches(rows, 180, 200), "a", PRECISION) == 0.9


@pytest.mark.parametrize(
    ("images", "frames", "luck"), [(100, 1, 0.5), (100, 1, 1.5), (300, 5, 1.0)]
)
def test_the_precision_holds_as_often_as_is_said(images, frames, luck):
    """On the population, where the measured points hold half of the time."""
    population = drawn(99, 5000, luck=luck)
    held = {"measured": 0, "guaranteed": 0}
    trials = 60
    for seed in range(trials):
        found = drawn(seed, images, frames, luck)
        for name, point in (
            ("measured", operating_point(found, "a", PRECISION)),
            ("guaranteed", guaranteed_point(found, "a", PRECISION)),
        ):
            held[name] += point == NEVER or precision_at(population, "a", point) >= PRECISION
    # What a true share of the confidence is below once in a thousand times.
    assert held["guaranteed"] >= stats.binom.ppf(0.001, trials, CONFIDENCE)
    assert held["measured"] <= stats.binom.ppf(0.001, trials, CONFIDENCE)
