"""Confusion between classes, with background: what became of each object, whatever its class."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from classlift.metrics.matching import IOU_THRESHOLD, Matches
from classlift.metrics.overlaps import overlaps


def confusion_matrix(matches: Matches, thresholds: Mapping[str, float]) -> npt.NDArray[np.int64]:
    """How often objects of each class are detected as each class.

    Detections at their class's threshold are matched to objects of any class, greedily by score, at
    IoU 0.5.

    Args:
        matches: of one split.
        thresholds: the score threshold of each class.

    Returns:
        [classes + 1, classes + 1]: rows are labels, columns detections, the last is background. The
        last row counts detections of nothing, the last column missed objects.

    """
    detections, background = matches.detections, len(matches.labels)
    scores = detections["score"].to_numpy(np.float64)
    by_score = np.argsort(-scores, kind="stable")
    rows = by_score[(scores >= detections["label"].map(thresholds).to_numpy())[by_score]]
    near = overlaps(matches, rows, IOU_THRESHOLD)
    rank = np.empty(len(detections), np.int64)
    rank[by_score] = np.arange(len(detections))
    order = np.lexsort((-near.iou, rank[near.detections]))  # the best object of each first
    object_of = np.full(len(detections), -1)
    is_taken = np.zeros(len(matches.objects), bool)
    for row, number in zip(near.detections[order], near.objects[order], strict=True):
        if object_of[row] < 0 and not is_taken[number]:
            object_of[row], is_taken[number] = number, True
    labels = matches.classes_of(matches.objects)
    detected_as = matches.classes_of(detections)[rows]
    labelled = np.append(labels, background)[object_of[rows]]  # -1 finds the last
    table = np.zeros((background + 1, background + 1), np.int64)
    np.add.at(table, (labelled, detected_as), 1)
    table[:background, background] = np.bincount(labels[~is_taken], minlength=background)
    return table
