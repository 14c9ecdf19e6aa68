"""What the gate measures of all classes on test: recall, precision, and what production sees."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classlift.gate.class_evidence import Guarantee
from classlift.gate.reading import Reading
from classlift.gate.verdict import Served
from classlift.metrics.change import Change, Measure, Pair
from classlift.metrics.curves import NEVER, operating_point, recall_at
from classlift.metrics.guarantee import guaranteed_point
from classlift.metrics.matching import Matches
from classlift.metrics.paired import fell_by
from classlift.metrics.resampling import resampled_at_deployed_precision, resampled_recalls
from classlift.metrics.statistics import (
    Shares,
    count_by_unit,
    count_detections_by_unit,
    paired_change,
    share_bounds,
)
from classlift.metrics.thresholds import SLACK
from classlift.settings.gate import GUARANTEED, MATCHED


@dataclass(frozen=True)
class Recalls:
    """The recalls of all classes on test.

    Attributes:
        champion: objects, and objects found, by unit and class.
        challenger: as `champion`.
        changes: of each class's recall.
        uppers: the challenger's recall as a change from nothing, for its upper bound.

    """

    champion: Shares
    challenger: Shares
    changes: Sequence[Change]
    uppers: Sequence[Change]

    def of_champion(self, column: int) -> float:
        """The champion's recall of one class; NaN without objects."""
        return _share(self.champion, column)

    def of_challenger(self, column: int) -> float:
        """The challenger's recall of one class; NaN without objects."""
        return _share(self.challenger, column)


def _share(shares: Shares, column: int) -> float:
    whole = shares.wholes[:, column].sum()
    return float(shares.parts[:, column].sum() / whole) if whole else math.nan


@dataclass(frozen=True)
class Precisions:
    """The precisions of all classes on test.

    Attributes:
        challenger: its detections, and those that are right, by unit and class.
        champion_bounds: precision with its lower and upper bound, by class.
        challenger_bounds: as `champion_bounds`.
        changes: of each class's precision.

    """

    challenger: Shares
    champion_bounds: Sequence[tuple[float, float, float]]
    challenger_bounds: Sequence[tuple[float, float, float]]
    changes: Sequence[Change]


def precisions(reading: Reading, confidence: float) -> Precisions:
    """The precisions of all classes on test, and their changes. confidence: of the bounds."""
    before, after = (
        count_detections_by_unit(matches, points)
        for matches, points in zip(reading.on_test, reading.points, strict=True)
    )
    changes = paired_change(before, after, confidence=confidence)
    if not reading.is_fixed:
        # Chosen for the champion's precision on eval; on test that has a tolerance.
        shown = ((before.wholes > 0) | (after.wholes > 0)).sum(axis=0)
        changes = [
            fell_by(change, reading.settings.precision_tolerance, count)
            for change, count in zip(changes, shown.tolist(), strict=True)
        ]
    bounds = [share_bounds(counts.wholes, counts.parts) for counts in (before, after)]
    return Precisions(after, bounds[0], bounds[1], changes)


def compared_by_precision(reading: Reading) -> set[str]:
    """The classes whose precision is compared with the champion's.

    All at one threshold, and those where the champion's own was asked for.

    Args:
        reading: both models.

    Returns:
        Their names.

    """
    compared = set(reading.labels) if reading.is_fixed else set()
    if reading.settings.thresholds != MATCHED:
        compared |= set(reading.labels) - {reading.target} - reading.unchanged
    return compared


def served_changes(reading: Reading, confidence: float) -> dict[str, Change | None]:
    """The change of each class's recall as production sees it; None where it is not another one."""
    changes: dict[str, Change | None] = dict.fromkeys(reading.labels)
    if reading.settings.thresholds == MATCHED and not reading.is_fixed:
        before, after = reading.on_test
        counts = count_by_unit(before, reading.deployed), count_by_unit(after, reading.served)
        found = paired_change(counts[0], counts[1], confidence=confidence)
        changes |= dict(zip(reading.labels, found, strict=True))
        changes[reading.target] = None
    return changes


def recalls(reading: Reading, confidence: float) -> Recalls:
    """The recalls and their changes.

    That eval is a sample too is part of the doubt of a threshold that was chosen there; a fixed one
    has no doubt of its own.

    Args:
        reading: both models.
        confidence: of the bounds, one-sided.

    Returns:
        Counts by unit and class, and the changes by class.

    """
    before, after = (
        count_by_unit(matches, points)
        for matches, points in zip(reading.on_test, reading.points, strict=True)
    )
    nothing = after._replace(parts=np.zeros_like(after.parts))
    changes = paired_change(before, after, confidence=confidence)
    uppers = paired_change(nothing, after, confidence=confidence)
    labels = reading.champion.test.labels
    for group, draws in _resampled(reading):
        columns = [labels.index(label) for label in group]
        old, new, none = (_columns(shares, columns) for shares in (before, after, nothing))
        for column, change, upper in zip(
            columns,
            paired_change(old, new, draws[1] - draws[0], confidence=confidence),
            paired_change(none, new, draws[1], confidence=confidence),
            strict=True,
        ):
            changes[column], uppers[column] = change, upper
    return Recalls(before, after, changes, uppers)


def _resampled(reading: Reading) -> Iterator[tuple[list[str], npt.NDArray[np.float64]]]:
    """Classes whose thresholds were chosen on eval, with both models' resampled recalls on test.

    Args:
        reading: both models.

    Yields:
        Classes, and [2, resamples, classes]; thresholds are chosen anew in each resample.

    """
    settings = reading.settings
    champion, challenger = ((m.eval, m.test) for m in (reading.champion, reading.challenger))
    at_precision = [
        label
        for label in reading.chosen_on_eval
        if label == reading.target or settings.thresholds == MATCHED
    ]
    as_deployed = [label for label in reading.chosen_on_eval if label not in at_precision]
    if at_precision:
        yield (
            at_precision,
            resampled_recalls(
                [champion, challenger],
                settings.precision,
                labels=at_precision,
                guaranteed=settings.operating_points == GUARANTEED,
            ),
        )
    if as_deployed:
        points = {label: reading.deployed[label] - SLACK for label in as_deployed}
        yield as_deployed, resampled_at_deployed_precision(champion, challenger, points)


def _columns(shares: Shares, columns: Sequence[int]) -> Shares:
    """The shares of some classes."""

    def of_some(part: npt.ArrayLike) -> npt.NDArray[np.float64]:
        return np.asarray(np.broadcast_to(part, shares.wholes.shape)[:, columns])

    return Shares(of_some(shares.wholes), of_some(shares.parts), of_some(shares.images))


def guarantee(reading: Reading) -> Guarantee | None:
    """What guaranteed operating points of the target cost; None where none are asked for."""
    settings, label = reading.settings, reading.target
    if settings.score_threshold is not None or settings.operating_points != GUARANTEED:
        return None
    before, after = (
        _recall_at(model.test, label, operating_point(model.eval, label, settings.precision))
        for model in (reading.champion, reading.challenger)
    )
    point = guaranteed_point(reading.champion.eval, label, settings.precision)
    return Guarantee(Pair(before, after), point != NEVER)


def _recall_at(matches: Matches, label: str, point: float) -> float:
    return recall_at(matches, dict.fromkeys(matches.labels, point))[label]


def served(
    models: tuple[Matches, Matches], thresholds: tuple[Mapping[str, float], Mapping[str, float]]
) -> dict[str, Served]:
    """Each class on test at the thresholds that are served, before and after a push."""
    recalls = [recall_at(m, p) for m, p in zip(models, thresholds, strict=True)]
    alarms = []
    for matches, points in zip(models, thresholds, strict=True):
        detections = matches.detections
        is_kept = detections["score"] >= detections["label"].map(points)
        alarms.append(detections["label"][is_kept & ~detections["is_match"]].value_counts())
    return {
        label: Served(
            threshold=Pair(*(float(points[label]) for points in thresholds)),
            recall=Pair(*(recall[label] for recall in recalls)),
            false_alarms=Pair(*(int(counts.get(label, 0)) for counts in alarms)),
        )
        for label in models[0].labels
    }


def on_test(
    before: Matches, after: Matches, target: str, precision: float, confidence: float
) -> Measure:
    """The target's recall where both models have the precision on test itself.

    Eval's thresholds miss the precision on test by a few points, each model's by others.

    Args:
        before: the champion's matches on test.
        after: the challenger's.
        target: the class.
        precision: 0 to 1.
        confidence: of the bounds of the change, one-sided.

    Returns:
        The recalls and their change.

    """
    points = [operating_point(matches, target, precision) for matches in (before, after)]
    column = [before.labels.index(target)]
    old, new = (
        _columns(count_by_unit(matches, dict.fromkeys(matches.labels, point)), column)
        for matches, point in zip((before, after), points, strict=True)
    )
    draws = resampled_recalls([(m, m) for m in (before, after)], precision, labels=[target])
    [change] = paired_change(old, new, draws[1] - draws[0], confidence=confidence)
    return Measure(
        _recall_at(before, target, points[0]), _recall_at(after, target, points[1]), change
    )
