"""What two models on the same images are compared by beside recall and precision: their average
precision, and how well their boxes fit.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from classlift.metrics.change import NOTHING, Change, Measure
from classlift.metrics.matching import Matches
from classlift.metrics.statistics import CONFIDENCE, POWER, paired_change

SAME_BOXES = 0.01
"""Mean IoU by which boxes may fit worse unseen: a pixel of a box that is 200 pixels wide."""


def ap50_change(before: Matches, after: Matches, label: str) -> Change:
    """Change of a class's average precision at IoU 0.5, with a closed-form t bound over units.

    What changes is the plain mean of the precision at each object that was found, without COCO's
    interpolation, whose steps have no slope. The standard error is that of its linearisation in the
    weight of each unit (the infinitesimal jackknife, Efron, "Nonparametric standard errors", 1981),
    of both models on the same units, floored at 1/n objects.

    Args:
        before: the champion's matches.
        after: the challenger's, of the same images.
        label: the class.

    Returns:
        The change; NaN throughout where the class has no object.

    """
    objects = int((before.objects["label"] == label).sum())
    if objects == 0:
        return NOTHING
    (ap_before, of_before), (ap_after, of_after) = (
        _linearised_ap(matches, label, objects) for matches in (before, after)
    )
    shown = np.zeros(before.unit_count, bool)
    for matches in (before, after):
        for table in (matches.objects, matches.detections):
            shown[matches.units_of(table[table["label"] == label])] = True
    clusters = int(shown.sum())
    residuals = of_after - of_before
    spread = np.sqrt((residuals**2).sum() * clusters / max(clusters - 1, 1))
    error, freedom = max(float(spread), 1 / objects), max(clusters - 1, 1)
    quantile = float(stats.t.ppf(CONFIDENCE, freedom))
    change = ap_after - ap_before
    return Change(
        change=change,
        lower_bound=max(change - quantile * error, -1.0),
        upper_bound=min(change + quantile * error, 1.0),
        standard_error=error,
        p_worse=float(stats.t.cdf(change / error, freedom)),
        minimum_detectable_drop=(quantile + float(stats.norm.ppf(POWER))) * error,
    )


def _linearised_ap(
    matches: Matches, label: str, objects: int
) -> tuple[float, npt.NDArray[np.float64]]:
    """A class's average precision, and what each unit adds to its error.

    With detections ranked by score, `found` and `count` running sums of matches and of detections,
    it is sum(is_match * found / count) / objects. A detection's weight changes its own term and
    the precision of all that are ranked below it.

    Returns:
        The average precision, 0 to 1, and [units].

    """
    rows = matches.ranked_detections[label]
    is_match = matches.detections["is_match"].to_numpy(np.float64)[rows]
    count = np.arange(1, len(rows) + 1)
    precision = np.cumsum(is_match) / count
    ap = float((is_match * precision).sum() / objects)
    below, weighed = (
        np.cumsum(terms[::-1])[::-1] for terms in (is_match / count, is_match * precision / count)
    )
    slopes = (is_match * (precision + below) - weighed) / objects
    of_unit = np.zeros(matches.unit_count)
    np.add.at(of_unit, matches.units_of(matches.detections.iloc[rows]), slopes)
    of_class = matches.objects[matches.objects["label"] == label]
    np.add.at(of_unit, matches.units_of(of_class), -ap / objects)
    return ap, of_unit


def mean_iou_change(
    before: Matches,
    after: Matches,
    thresholds: tuple[Mapping[str, float], Mapping[str, float]],
    label: str,
    confidence: float = CONFIDENCE,
) -> Measure | None:
    """Mean IoU, before and after, of the objects of a class that both models find, and its change.

    What only the better model finds is left out: it is harder, and may fit worse. The `p_worse` of
    the change is that of "it did not fall by more than `SAME_BOXES`".

    Args:
        before: the champion's matches.
        after: the challenger's, of the same images.
        thresholds: the score thresholds at which each of the two is read, by class.
        label: the class.
        confidence: of the bounds, one-sided.

    Returns:
        The means and their change; None where nothing is found by both, or the matches have no
        boxes, as simulated ones.

    """
    if "iou" not in before.objects or "iou" not in after.objects:
        return None
    of_class = before.objects["label"] == label
    found = [
        matches.objects["score"] >= points[label]
        for matches, points in zip((before, after), thresholds, strict=True)
    ]
    common = (of_class & found[0] & found[1]).to_numpy(bool)
    if not common.any():
        return None
    units = before.units_of(before.objects[common])
    values = [
        np.ones(len(units)),
        *(matches.objects["iou"].to_numpy(np.float64)[common] for matches in (before, after)),
    ]
    sums = np.zeros((3, before.unit_count, 1))
    for column, value in zip(sums, values, strict=True):
        np.add.at(column[:, 0], units, value)
    whole, *parts = sums
    [change] = paired_change((whole, parts[0]), (whole, parts[1]), confidence=confidence)
    ious = [float(part.sum() / whole.sum()) for part in parts]
    return Measure(ious[0], ious[1], fell_by(change, SAME_BOXES, len(set(units))))


def fell_by(change: Change, margin: float, clusters: int) -> Change:
    """The change with the p value of "it did not fall by more than the margin" (cluster t test)."""
    fall = (change.change + margin) / change.standard_error
    return replace(change, p_worse=float(stats.t.cdf(fall, max(clusters - 1, 1))))
