"""Recall at matched precision when both splits are drawn again: what a change is uncertain by.

The operating points are chosen on eval, and eval is a sample too. Bounds that take them as given
are too narrow: in simulations of equal models with 50 to 300 objects a class, 10 to 25% would be
called lifted instead of 5% (`benchmarks/gate.py`).
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from classlift.metrics.curves import NEVER
from classlift.metrics.guarantee import guaranteed_points, ladder
from classlift.metrics.matching import Matches

RESAMPLES = 2000
_AT_ONCE = 250  # resamples drawn at a time, for these numbers are eight times as wide

Weights = npt.NDArray[np.uint8]
"""[units, resamples]: how often each unit was drawn; more than 255 times never happens."""


def resampled_recalls(
    models: Sequence[tuple[Matches, Matches]],
    precision: float,
    seed: int = 0,
    labels: Sequence[str] | None = None,
    guaranteed: bool = False,
) -> npt.NDArray[np.float64]:
    """Each model's recall on test at its own operating points, in resamples of the units.

    In each resample the units of both splits (the images, or the scenes that they are of) are drawn
    with replacement, the same ones for all models; on those of eval the operating points are chosen
    anew (`curves.operating_points`), on those of test the recalls are read. Where a model's matches
    are the same object twice, they are one split, and drawn once.

    Args:
        models: each one's matches on eval and on test.
        precision: 0 to 1, of the operating points.
        seed: of the draws.
        labels: the classes; all by default.
        guaranteed: the operating points are those of `guarantee.guaranteed_points`; where a
            resample guarantees none, it is the measured one, so that the chance of none is taken
            for no loss.

    Returns:
        [models, RESAMPLES, classes]; NaN where a resample has no object of a class.

    """
    on_eval, on_test = _draw([matches.unit_count for matches in models[0]], seed)
    if models[0][0] is models[0][1]:
        on_test = on_eval
    recalls = []
    known: dict[tuple[bytes, ...], npt.NDArray[np.float64]] = {}  # of a class alike in both models
    for chosen_on, read_on in models:
        by_class = []
        for label in labels if labels is not None else read_on.labels:
            choosing, reading = _choosing(chosen_on, label), _reading(read_on, label)
            asked = tuple(column.tobytes() for column in (*choosing, *reading))
            if asked not in known:
                points = _thresholds(*choosing, on_eval, precision)
                if guaranteed:
                    sure = guaranteed_points(ladder(chosen_on, label), precision, on_eval)
                    points = np.where(sure == NEVER, points, sure)
                known[asked] = _recalls(*reading, on_test, points)
            by_class.append(known[asked])
        recalls.append(np.stack(by_class, axis=1))
    return np.stack(recalls)


def resampled_at_deployed_precision(
    champion: tuple[Matches, Matches],
    challenger: tuple[Matches, Matches],
    deployed: Mapping[str, float],
    seed: int = 0,
) -> npt.NDArray[np.float64]:
    """Recall on test of both models, the challenger as precise as the champion in production.

    In each resample, drawn as in `resampled_recalls`, the champion's precision on eval is counted
    anew and the challenger's threshold chosen by it.

    Args:
        champion: its matches on eval and on test.
        challenger: as `champion`.
        deployed: the champion's score thresholds; the classes are those that it names, in its
            order.
        seed: of the draws.

    Returns:
        [2, RESAMPLES, classes]; NaN where a resample has no object of a class.

    """
    on_eval, on_test = _draw([matches.unit_count for matches in champion], seed)
    both = []
    for label, threshold in deployed.items():
        scores, is_match, units = _choosing(champion[0], label)
        kept = scores >= threshold
        count, found = (
            np.bincount(units[rows], minlength=len(on_eval)) @ on_eval.astype(np.int64)
            for rows in (kept, kept & is_match)
        )
        points = _thresholds(*_choosing(challenger[0], label), on_eval, (found, count))
        points[found == 0] = np.inf
        as_deployed = np.full(len(points), threshold)
        both.append(
            [
                _recalls(*_reading(champion[1], label), on_test, as_deployed),
                _recalls(*_reading(challenger[1], label), on_test, points),
            ]
        )
    recalls = np.array(both).reshape(len(deployed), 2, -1)
    return np.moveaxis(recalls, 0, 2)


def _choosing(
    matches: Matches, label: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """The detections of a class, by falling score: scores, whether they match, units."""
    rows = matches.ranked_detections[label]
    table = matches.detections
    return (
        table["score"].to_numpy(np.float64)[rows],
        table["is_match"].to_numpy(bool)[rows],
        matches.units_of(table.iloc[rows]),
    )


def _reading(matches: Matches, label: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The objects of a class, by falling score: scores and units."""
    rows = matches.ranked_objects[label]
    table = matches.objects
    return table["score"].to_numpy(np.float64)[rows], matches.units_of(table.iloc[rows])


def _draw(counts: Sequence[int], seed: int) -> list[Weights]:
    """Resamples of so many units, for each of the counts."""
    rng = np.random.default_rng(seed)
    weights = [np.empty((count, RESAMPLES), np.uint8) for count in counts]
    for start in range(0, RESAMPLES, _AT_ONCE):
        part = slice(start, min(start + _AT_ONCE, RESAMPLES))
        for count, drawn in zip(counts, weights, strict=True):
            sizes = np.full(count, 1 / count)
            drawn[:, part] = rng.multinomial(count, sizes, size=part.stop - part.start).T
    return weights


def _thresholds(
    scores: npt.NDArray[np.float64],
    is_match: npt.NDArray[np.bool_],
    units: npt.NDArray[np.int64],
    weights: Weights,
    precision: float | tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
) -> npt.NDArray[np.float64]:
    """The lowest score of each resample with the precision.

    Goes through the detections once, for all resamples together, and keeps
    `found - precision * count` in whole numbers, so that a precision that is met exactly is met.

    Args:
        scores: [detections], of one class, falling.
        is_match: [detections], whether each matches an object.
        units: [detections], the number of each one's unit.
        weights: [units, resamples], how often each unit was drawn.
        precision: one for all resamples, or numerator and denominator of each one's own.

    Returns:
        [resamples]; infinite where there is none.

    """
    if isinstance(precision, tuple):
        numerator, denominator = precision
    else:
        wanted = Fraction(precision).limit_denominator(1_000_000)
        numerator, denominator = np.array([wanted.numerator]), np.array([wanted.denominator])
    right, wrong = denominator - numerator, -numerator  # what a detection adds to the margin
    is_last = np.append(np.diff(scores) != 0, True)[: len(scores)]  # of those with its score
    margin = np.zeros(weights.shape[1], np.int64)
    is_drawn = np.zeros(weights.shape[1], bool)
    points = np.full(weights.shape[1], np.inf)
    for unit, match, score, last in zip(
        units.tolist(), is_match.tolist(), scores.tolist(), is_last.tolist(), strict=True
    ):
        drawn = weights[unit]
        margin += np.multiply(drawn, right if match else wrong, dtype=np.int64)
        is_drawn |= drawn > 0
        if last:
            np.copyto(points, score, where=is_drawn & (margin >= 0))
            is_drawn[:] = False
    return points


def _recalls(
    scores: npt.NDArray[np.float64],
    units: npt.NDArray[np.int64],
    weights: Weights,
    points: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """The recall of each resample at its threshold.

    Args:
        scores: [objects], of one class, falling; NaN, last, where nothing found them.
        units: [objects], the number of each one's unit.
        weights: [units, resamples], how often each unit was drawn.
        points: [resamples], the thresholds.

    Returns:
        [resamples]; NaN without objects.

    """
    above = np.searchsorted(-scores, -points, side="right")  # NaN is above all
    found, objects = np.zeros((2, weights.shape[1]), np.int64)
    for row, unit in enumerate(units.tolist()):
        drawn = weights[unit]
        objects += drawn
        found += drawn * (above > row)
    with np.errstate(invalid="ignore"):
        recalls: npt.NDArray[np.float64] = found / objects
    return recalls
