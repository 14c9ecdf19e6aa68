"""Precision, recall and operating points, read from one matching."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classlift.metrics.matching import Matches

NEVER = float("inf")
"""The operating point of a class that never reaches the precision: above every score.

It stands for "there is none" and is never served: see `metrics.thresholds`.
"""


@dataclass(frozen=True)
class Curve:
    """Precision and recall of one class at each distinct score, from the highest down."""

    scores: npt.NDArray[np.float64]
    precision: npt.NDArray[np.float64]
    recall: npt.NDArray[np.float64]


def precision_recall_curve(matches: Matches, label: str) -> Curve:
    """The curve of one class, with one point a distinct score.

    precision = matched detections / detections, recall = found objects / objects, both counting the
    detections whose score is at least the point's.

    Args:
        matches: of one split.
        label: the class.

    Returns:
        Scores, precisions and recalls, each [points], from the highest score down.

    """
    rows = matches.ranked_detections[label]
    scores = matches.detections["score"].to_numpy(np.float64)[rows]
    found = np.cumsum(matches.detections["is_match"].to_numpy(bool)[rows])
    last = np.append(np.diff(scores) != 0, True)[: len(scores)]
    return Curve(
        scores=scores[last],
        precision=(found / np.arange(1, len(found) + 1))[last],
        recall=(found / max(len(matches.ranked_objects[label]), 1))[last],
    )


def average_precision(is_match: npt.NDArray[np.bool_], objects: int) -> float:
    """COCO's: the mean, over 101 recalls from 0 to 1, of the best precision at that recall or more.

    Args:
        is_match: [detections], of one class, by falling score.
        objects: labelled objects of the class.

    Returns:
        The average precision, 0 to 1; NaN without objects.

    >>> round(average_precision(np.array([True, False, True]), 2), 3)
    0.835

    """
    if objects == 0:
        return float("nan")
    found = np.cumsum(is_match)
    precision = found / np.arange(1, len(found) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(found / objects, np.linspace(0, 1, 101), side="left")
    return float(np.append(best, 0.0)[np.minimum(places, len(best))].mean())


def operating_points(
    matches: Matches, precision: float, score_threshold: float | None = None
) -> dict[str, float]:
    """Per class, the lowest score threshold at which its precision is at least `precision`.

    Args:
        matches: of the split on which they are chosen.
        precision: 0 to 1.
        score_threshold: a fixed one, which all classes get instead.

    Returns:
        The thresholds by class. One that has the precision nowhere gets `NEVER`, and with it a
        recall of 0.

    """
    if score_threshold is not None:
        return dict.fromkeys(matches.labels, score_threshold)
    return {label: operating_point(matches, label, precision) for label in matches.labels}


def operating_point(matches: Matches, label: str, precision: float) -> float:
    """The lowest score threshold at which a class has the precision, or `NEVER`."""
    curve = precision_recall_curve(matches, label)
    enough = np.flatnonzero(curve.precision >= precision)
    return float(curve.scores[enough[-1]]) if len(enough) else NEVER


def precision_at(matches: Matches, label: str, threshold: float) -> float:
    """Precision of a class at a score threshold; NaN where it has no detection there."""
    of_class = matches.detections["label"] == label
    kept = matches.detections[of_class & (matches.detections["score"] >= threshold)]
    return float(kept["is_match"].mean()) if len(kept) else float("nan")


def recall_at(matches: Matches, thresholds: Mapping[str, float]) -> dict[str, float]:
    """Recall of each class at its threshold; NaN for a class without objects."""
    found = matches.objects["score"] >= matches.objects["label"].map(thresholds)
    shares = found.groupby(matches.objects["label"]).mean()
    return {label: float(shares.get(label, np.nan)) for label in matches.labels}
