"""Operating points that hold: the lowest score threshold at which a precision is guaranteed.

A threshold at which the precision is 0.80 on eval misses it on other images half of the time, for
it was chosen for just that. This is "Learn then Test" (Angelopoulos et al., arXiv 2110.01052) with
fixed sequence testing: thresholds are tested from high to low, each for "the precision here is less
than asked", and the first that is not refuted ends it. The lowest that was refuted is the operating
point. That it is too low needs one true hypothesis to be refuted, the first one on the way down; so
the chance is that of one test, 1 - `CONFIDENCE`, however many there are.

The p-value is that of the exact bound for clustered shares (Korn and Graubard, Survey Methodology
24, 1998) that `statistics.held_share` gives: with one detection a unit it is hardly above the
binomial's, which holds at any size; of units with several it rests on their spread, and is
approximate. What that leaves of the guarantee is simulated in `benchmarks/operating_points.py`.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from classlift.metrics.curves import NEVER
from classlift.metrics.matching import Matches
from classlift.metrics.statistics import effective_size

CONFIDENCE = 0.90
"""The share of eval splits, drawn anew from the same source, of which a guaranteed point holds."""

START = 1 / 8
"""Tests begin at the threshold with so many detections for each object of eval. Higher up, a few
wrong detections end the sequence by chance: it decides by counts alone, never by what is right."""

GROWTH = 1.1
"""From test to test there are so many times as many detections: each is a chance to end early."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ladder:
    """The detections of one class above each of some thresholds, from high to low, by unit.

    Attributes:
        scores: the thresholds, [steps].
        detections: at least as high, [steps, units], as `right` and `images`.
        right: of these, those that match an object.
        images: in how many images of the unit they are.
        objects: labelled objects of the class.

    """

    scores: Floats
    detections: Floats
    right: Floats
    images: Floats
    objects: int


def ladder(matches: Matches, label: str) -> Ladder:
    """The detections of a class above thresholds that each let `GROWTH` times as many through."""
    rows = matches.ranked_detections[label]
    table = matches.detections.iloc[rows]
    scores = table["score"].to_numpy(np.float64)
    images = matches.images_of(table)
    units = matches.unit_of_image[images]
    is_first = np.zeros(len(rows), bool)  # of its image, by falling score
    is_first[np.unique(images, return_index=True)[1]] = True
    kinds = np.stack([np.ones(len(rows)), table["is_match"].to_numpy(np.float64), is_first])
    ends = _ends(scores)
    counts = np.zeros((3, len(ends), matches.unit_count))
    steps = np.searchsorted(ends, np.arange(len(rows)), side="right")
    for kind, of_kind in zip(kinds, counts, strict=True):
        np.add.at(of_kind, (steps, units), kind)
    detections, right, shown = counts.cumsum(axis=1)
    objects = len(matches.ranked_objects[label])
    return Ladder(scores[ends - 1], detections, right, shown, objects)


def _ends(scores: Floats) -> npt.NDArray[np.int64]:
    """How many detections the thresholds let through, those of one score together."""
    last = np.append(np.flatnonzero(np.diff(scores)) + 1, len(scores)) if len(scores) else scores
    wanted, count = [], 1
    while count < len(scores):
        wanted.append(count)
        count = max(count + 1, math.ceil(count * GROWTH))
    found = last[np.searchsorted(last, [*wanted, len(scores)])] if len(scores) else last
    return np.unique(found).astype(np.int64)


def guaranteed_point(matches: Matches, label: str, precision: float) -> float:
    """The lowest score threshold at which a class has the precision with `CONFIDENCE`.

    Args:
        matches: on eval; its units are what is independent.
        label: the class.
        precision: above 0, below 1.

    Returns:
        The threshold; `NEVER` where none is guaranteed.

    """
    [point] = guaranteed_points(
        ladder(matches, label), precision, np.ones((matches.unit_count, 1), np.uint8)
    )
    return float(point)


def guaranteed_points(
    steps: Ladder, precision: float, weights: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float64]:
    """The lowest threshold with the precision in each of some resamples.

    Args:
        steps: the detections of one class.
        precision: above 0, below 1.
        weights: [units, resamples], how often each unit was drawn.

    Returns:
        [resamples] score thresholds; `NEVER` where none is guaranteed.

    """
    resamples = weights.shape[1]
    points = np.full(resamples, NEVER)
    is_open, has_begun = np.ones(resamples, bool), np.zeros(resamples, bool)
    least = steps.objects * START
    drawn = weights.astype(np.float64)
    for score, *counts in zip(
        steps.scores, steps.detections, steps.right, steps.images, strict=True
    ):
        detections, right, images = counts
        has_some = detections > 0
        parts = np.stack(
            [detections, right, images, has_some, detections**2, detections * right, right**2]
        )
        sums = parts[:, has_some] @ drawn[has_some]
        has_begun |= (sums[0] >= least) & _is_possible(sums, precision)
        refuted = _chance(sums, precision) <= 1 - CONFIDENCE
        points[is_open & has_begun & refuted] = score
        is_open &= ~has_begun | refuted
        if not is_open.any():
            break
    return points


def _is_possible(sums: Floats, precision: float) -> npt.NDArray[np.bool_]:
    """Whether a guarantee is possible: were all detections right, the test would say so."""
    detections, _, images, units, squares, *_ = sums
    all_right = np.stack([detections, detections, images, units, squares, squares, squares])
    return np.asarray(_chance(all_right, precision) <= 1 - CONFIDENCE)


def _chance(sums: Floats, precision: float) -> Floats:
    """The p-value of "the precision is less than asked" in each resample.

    Args:
        sums: [7, resamples], over the units of detections, right ones, images, units that have
            some, and of the squares and the product of the first two.
        precision: above 0, below 1.

    Returns:
        [resamples], 0 to 1.

    """
    detections, right, images, units, squares, products, right_squares = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        share = right / detections
        # As `statistics.held_share`: the ratio linearised, and what several images of a unit show
        # counted once.
        residuals = np.maximum(right_squares - 2 * share * products + share**2 * squares, 0.0)
        error = np.sqrt(residuals * units / np.maximum(units - 1, 1)) / detections
        distinct = detections / np.maximum(images / units, 1.0)
        size = effective_size(share, np.maximum(error, 1 / distinct), units, distinct)
        chance = special.betainc(share * size, (1 - share) * size + 1, precision)
    return np.where(right > 0, chance, 1.0)


def least_units(precision: float) -> int:
    """How many units a guarantee takes at the least: so many with one right detection each.

    Args:
        precision: above 0, below 1.

    Returns:
        The number of units.

    >>> least_units(0.80)
    11

    """
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(precision))
