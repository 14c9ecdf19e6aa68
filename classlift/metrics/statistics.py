"""The gate's statistics: paired, by unit, because objects in one unit are not independent.

A unit is an image, or all images of one scene (`Matches.units`).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, special, stats

from classlift.metrics.change import NOTHING, Change
from classlift.metrics.matching import Matches

CONFIDENCE = 0.95
"""Confidence of each bound, one-sided, on a test set that is used for the first time."""

POWER = 0.80
MOST_GROWTH = 100.0  # of data that somebody may be asked to label
FEW = 30
"""Objects below which a share is too far from normal: the rule of thumb of the textbooks."""

RESAMPLES = 2000
_RESAMPLES_AT_ONCE = 250  # bounds the memory: this many rows of one weight a unit

Counts = npt.NDArray[np.float64]


class Shares(NamedTuple):
    """Wholes and parts by unit and class, each [units, classes], as the counts below.

    Attributes:
        images: [units, classes], in how many images of the unit the wholes are; at most one by
            default.

    """

    wholes: Counts
    parts: Counts
    images: Counts | float = 1.0


def count_by_unit(matches: Matches, thresholds: Mapping[str, float]) -> Shares:
    """Objects, and objects found at the thresholds, by unit and class."""
    objects = matches.objects
    found = objects["score"] >= objects["label"].map(thresholds)
    return _tally(matches, objects, found)


def count_detections_by_unit(matches: Matches, thresholds: Mapping[str, float]) -> Shares:
    """Detections at the thresholds, and those that match an object, by unit and class."""
    kept = matches.detections[
        matches.detections["score"] >= matches.detections["label"].map(thresholds)
    ]
    return _tally(matches, kept, kept["is_match"])


def _tally(matches: Matches, rows: pd.DataFrame, is_part: "pd.Series[bool]") -> Shares:
    """How many rows, and how many with `is_part`, there are of each unit and class."""
    classes, images = matches.classes_of(rows), matches.images_of(rows)
    units = matches.unit_of_image
    by_image = np.zeros((len(matches.image_ids), len(matches.labels)))
    wholes, parts, shown = np.zeros((3, matches.unit_count, len(matches.labels)))
    np.add.at(by_image, (images, classes), 1.0)
    np.add.at(parts, (units[images], classes), is_part.to_numpy(np.float64))
    np.add.at(wholes, units, by_image)
    np.add.at(shown, units, by_image > 0)
    return Shares(wholes, parts, shown)


def paired_change(
    before: Shares | tuple[Counts, Counts],
    after: Shares | tuple[Counts, Counts],
    draws: Counts | None = None,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> list[Change]:
    """Change of sum(parts)/sum(wholes) from before to after, for each class.

    The units are the same in both; the wholes are too where they are objects, and differ where they
    are detections. The standard error is that of a linearised ratio, with the units as clusters
    (Cochran, Sampling Techniques, 1977, section 6.4), floored at 1/n of the smaller whole, where an
    object that several images of one unit show counts once. Each bound is the wider of two: the
    percentile of a bootstrap over units, and the closed-form t bound, whose degrees of freedom are
    the units that have some of the whole, less one.

    The spread of `draws` goes into the standard error, but not into the t bound: the percentiles
    have that doubt already. Of models simulated as in `benchmarks/gate.py`, with 6 to 1000 objects,
    the change is below its lower bound at most 4% of the time; with the spread in both, bounds were
    a third too wide.

    Args:
        before: wholes and parts by unit and class.
        after: as `before`, of the same units.
        draws: [resamples, classes], the change in resamples that also vary what before and after
            rest on, as `resampling.resampled_recalls`.
        seed: of the bootstrap.
        confidence: of the bounds, one-sided. Beyond `CONFIDENCE` they are as much further from the
            change as the quantiles of t are from 0: resamples have too few so far out.

    Returns:
        A change a class; NaN throughout for one whose whole is empty in either.

    """
    before, after = Shares(*before), Shares(*after)
    totals = np.minimum(_distinct(before), _distinct(after))
    clusters = ((before.wholes > 0) | (after.wholes > 0)).sum(axis=0)
    share_before, residuals_before = _linearised(before)
    share_after, residuals_after = _linearised(after)
    change = share_after - share_before
    correction = clusters / np.maximum(clusters - 1, 1)
    variance = ((residuals_after - residuals_before) ** 2).sum(axis=0) * correction
    of_units = standard_error = np.sqrt(variance)
    if draws is None:  # the same units are drawn for both
        drawn = [bootstrap_shares(shares.wholes, shares.parts, seed) for shares in (before, after)]
        draws = drawn[1] - drawn[0]
    else:
        standard_error = np.fmax(of_units, np.nanstd(draws, axis=0))
    results = []
    for k in range(len(totals)):
        if totals[k] == 0:
            results.append(NOTHING)
            continue
        freedom = max(int(clusters[k]) - 1, 1)
        quantile = stats.t.ppf(CONFIDENCE, freedom)
        wider = stats.t.ppf(confidence, freedom) / quantile
        error, floor = max(standard_error[k], 1 / totals[k]), max(of_units[k], 1 / totals[k])
        lower, upper = np.nanquantile(draws[:, k], [1 - CONFIDENCE, CONFIDENCE])
        # Of few objects, most resamples say the same: there the closed form is wider.
        below = max(change[k] - lower, quantile * floor)
        above = max(upper - change[k], quantile * floor)
        results.append(
            Change(
                change=float(change[k]),
                # Of very few units t is so wide that it leaves what a share can change by.
                lower_bound=max(float(change[k] - wider * below), -1.0),
                upper_bound=min(float(change[k] + wider * above), 1.0),
                standard_error=float(error),
                p_worse=float(stats.t.cdf(change[k] / error, freedom)),
                minimum_detectable_drop=float((wider * quantile + stats.norm.ppf(POWER)) * error),
            )
        )
    return results


def _distinct(shares: Shares) -> Counts:
    """[classes]: the wholes, of which each unit has as many as one of its images on average."""
    images = np.broadcast_to(shares.images, shares.wholes.shape)
    has = shares.wholes > 0
    per_unit: Counts = np.where(has, images, 0.0).sum(axis=0) / np.maximum(has.sum(axis=0), 1)
    distinct: Counts = shares.wholes.sum(axis=0) / np.maximum(per_unit, 1.0)
    return distinct


def _linearised(shares: Shares) -> tuple[Counts, Counts]:
    """Each class's share, and what each unit adds to its error: [classes], [units, classes]."""
    total = shares.wholes.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = shares.parts.sum(axis=0) / total
        return share, (shares.parts - share * shares.wholes) / total


def share_bounds(wholes: Counts, parts: Counts, seed: int = 0) -> list[tuple[float, float, float]]:
    """The share sum(parts)/sum(wholes) of each class with bounds, by bootstrap.

    Where the share is 0 or 1, every resample says the same; the bound there is the exact one of
    Clopper and Pearson (Biometrika 26, 1934) for as many units as have some, since what is in one
    unit may all have one reason.

    Args:
        wholes: [units, classes] counts.
        parts: [units, classes] counts, at most the wholes.
        seed: of the bootstrap.

    Returns:
        (share, lower bound, upper bound) a class; NaN where there is nothing to count.

    """
    draws = bootstrap_shares(wholes, parts, seed)
    results = []
    units = (wholes > 0).sum(axis=0)
    for k, (whole, part) in enumerate(zip(wholes.sum(axis=0), parts.sum(axis=0), strict=True)):
        if whole == 0:
            results.append((float("nan"),) * 3)
            continue
        lower, upper = np.nanquantile(draws[:, k], [1 - CONFIDENCE, CONFIDENCE])
        if part == 0:
            upper = stats.beta.ppf(CONFIDENCE, 1, units[k])
        elif part == whole:
            lower = stats.beta.ppf(1 - CONFIDENCE, units[k], 1)
        results.append((float(part / whole), float(lower), float(upper)))
    return results


def clustered_share_bounds(
    wholes: Counts, parts: Counts, seed: int = 0
) -> list[tuple[float, float, float]]:
    """The share sum(parts)/sum(wholes) of each class with bounds that also hold for few units.

    Each bound is the widest of three: those of `paired_change`, the bootstrap over units and the
    closed form, and the exact one of a binomial of as many objects as the units are worth (Korn and
    Graubard, Survey Methodology 24, 1998). Simulated at 2 to 100 units, a share is above its upper
    bound at most 5 to 6% of the time; by the bootstrap and the closed form alone, up to 12%.

    Args:
        wholes: [units, classes] counts.
        parts: [units, classes] counts, at most the wholes.
        seed: of the bootstrap.

    Returns:
        (share, lower bound, upper bound) a class; NaN where there is nothing to count.

    """
    nothing = np.zeros_like(wholes)
    results = []
    for k, change in enumerate(paired_change((wholes, nothing), (wholes, parts), seed=seed)):
        if np.isnan(change.change):
            results.append((float("nan"),) * 3)
            continue
        lower, upper = _exact_bounds(wholes[:, k], parts[:, k], change.standard_error)
        results.append(
            (
                change.change,
                max(min(lower, change.lower_bound), 0.0),
                min(max(upper, change.upper_bound), 1.0),
            )
        )
    return results


def _exact_bounds(wholes: Counts, parts: Counts, standard_error: float) -> tuple[float, float]:
    """Those of Korn and Graubard, for one class: objects and those found in each unit."""
    worth = _worth(wholes, parts, standard_error, float(wholes.sum()))
    share = float(parts.sum() / wholes.sum())
    found, missed = share * worth, (1 - share) * worth
    lower = stats.beta.ppf(1 - CONFIDENCE, found, missed + 1) if found else 0.0
    upper = stats.beta.ppf(CONFIDENCE, found + 1, missed) if missed else 1.0
    return float(lower), float(upper)


def _worth(wholes: Counts, parts: Counts, standard_error: float, objects: float) -> float:
    """As many independent objects as the units of one class are worth (Korn and Graubard).

    Args:
        wholes: [units] counts.
        parts: [units] counts, at most the wholes.
        standard_error: of the share.
        objects: how many there are, which is the most that they can be worth.

    Returns:
        The size, which need not be whole.

    """
    share = parts.sum() / wholes.sum()
    figures = (share, standard_error, (wholes > 0).sum(), objects)
    return float(effective_size(*(np.asarray(figure) for figure in figures)))


def effective_size(share: Counts, standard_error: Counts, units: Counts, most: Counts) -> Counts:
    """As many independent objects as clustered ones are worth (Korn and Graubard).

    Args:
        share: of the objects that are found, 0 to 1, of any shape, which all others have.
        standard_error: of the share, with the units as clusters; above 0.
        units: how many units show some.
        most: how many objects there are, which is the most that they can be worth.

    Returns:
        The size, of the same shape, with what the spread of few units hides taken off.

    """
    # Units that all say the same show no spread to tell how alike their objects are: then the
    # objects of a unit count as one.
    says_the_same = (share <= 0) | (share >= 1)
    worth = np.where(
        says_the_same, units, np.minimum(most, share * (1 - share) / standard_error**2)
    )
    of_objects, of_units = (
        special.stdtrit(np.maximum(size - 1.0, 1.0), CONFIDENCE) for size in (most, units)
    )
    size: Counts = worth * (of_objects / of_units) ** 2
    return size


def held_share(
    shares: Shares, column: int, least: float, confidence: float
) -> tuple[float, int | None]:
    """The exact lower bound of a class's share, and how many more wholes would take it to `least`.

    The bound is that of Korn and Graubard (`clustered_share_bounds`); what several images of one
    unit show counts once. The number assumes that the share stays as it is, and that further ones
    are as much alike in a unit.

    Args:
        shares: by unit and class.
        column: of the class.
        least: the share that is asked for, 0 to 1.
        confidence: of the bound, one-sided.

    Returns:
        The bound, NaN where there is nothing to count; and the number, None when none is needed,
        and when `MOST_GROWTH` times as many would not do: the share is hardly above `least`, or
        below it.

    """
    wholes, parts = shares.wholes[:, column], shares.parts[:, column]
    total, distinct = float(wholes.sum()), float(_distinct(shares)[column])
    if not total:
        return float("nan"), None
    share, residuals = (values[..., column] for values in _linearised(shares))
    units = int((wholes > 0).sum())
    error = np.sqrt(float((residuals**2).sum()) * units / max(units - 1, 1))
    worth = _worth(wholes, parts, max(error, 1 / distinct), distinct)

    def lower(growth: float) -> float:
        found, missed = share * worth * growth, (1 - share) * worth * growth
        return float(stats.beta.ppf(1 - confidence, found, missed + 1)) if found else 0.0

    bound = lower(1.0)
    if bound >= least or lower(MOST_GROWTH) <= least:
        return bound, None
    growth = float(optimize.brentq(lambda growth: lower(growth) - least, 1.0, MOST_GROWTH))
    return bound, max(int(np.ceil(total * (growth - 1))), 1)


def bootstrap_shares(wholes: Counts, parts: Counts, seed: int) -> Counts:
    """[RESAMPLES, classes]: sum(parts)/sum(wholes) in resamples of the units."""
    units, classes = wholes.shape
    rng = np.random.default_rng(seed)
    both = np.hstack([wholes, parts])
    chunks = []
    for start in range(0, RESAMPLES, _RESAMPLES_AT_ONCE):
        size = min(_RESAMPLES_AT_ONCE, RESAMPLES - start)
        sums = rng.multinomial(units, np.full(units, 1 / units), size=size) @ both
        with np.errstate(divide="ignore", invalid="ignore"):
            chunks.append(sums[:, classes:] / sums[:, :classes])
    return np.vstack(chunks)


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Which hypotheses fall, with the family-wise error at most `alpha` (Holm, 1979).

    Args:
        p_values: one a hypothesis, 0 to 1.
        alpha: 0 to 1.

    Returns:
        For each hypothesis, whether it falls.

    >>> holm([0.01, 0.04, 0.5], alpha=0.05)
    [True, False, False]

    """
    order = np.argsort(p_values)
    rejected = [False] * len(p_values)
    for rank, index in enumerate(order):
        if not p_values[index] <= alpha / (len(p_values) - rank):
            break
        rejected[index] = True
    return rejected


def objects_needed(change: Change, objects: int, max_drop: float) -> int | None:
    """How many more labelled objects would likely settle "not worse by `max_drop`".

    Assumes that the measured change holds and that the distance of its lower bound shrinks with the
    square root of the objects, which fewer than `FEW` objects say too little about.

    Args:
        change: as measured.
        objects: labelled ones that it was measured on.
        max_drop: the drop to rule out, 0 to 1.

    Returns:
        The number; None when none would do, for the measured drop is itself too large, and where
        the model does not hold.

    """
    room = change.change + max_drop
    distance = change.change - change.lower_bound
    if room <= 0 or objects < FEW or not np.isfinite(distance):
        return None
    return max(int(np.ceil(objects * ((distance / room) ** 2 - 1))), 1)
