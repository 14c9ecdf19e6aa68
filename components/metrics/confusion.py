"""Confusion between classes, with background: what became of each object, whatever its class."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from components.metrics.matching import IOU_THRESHOLD, Matches
from components.metrics.overlaps import overlaps


def confusion_matrix(matches: Matches, thresholds: Mapping[str, float]) -> npt.NDArray[np.int64]:
    """[classes + 1, classes + 1]: rows are labels, columns detections, the last is background.

    Detections at their class's threshold are matched to objects of any class, greedily by score,
    at IoU 0.5. The last row counts detections of nothing, the last column missed objects.
    """
    detections, background = matches.detections, len(matches.labels)
    scores = detections["score"].to_numpy(np.float64)
    by_score = np.argsort(-scores, kind="stable")
    rows = by_score[(scores >= detections["label"].map(thresholds).to_numpy())[by_score]]
    near = overlaps(matches, rows, IOU_THRESHOLD)
    rank = np.empty(len(detections), np.int64)
    rank[by_score] = np.arange(len(detections))
    order = np.lexsort((-near.iou, rank[near.detections]))  # the best object of each first
    object_of: dict[int, int] = {}
    taken: set[int] = set()
    for row, number in zip(
        near.detections[order].tolist(), near.objects[order].tolist(), strict=True
    ):
        if row not in object_of and number not in taken:
            object_of[row] = number
            taken.add(number)
    found = np.full(len(detections), -1)
    found[list(object_of)] = list(object_of.values())
    labels = np.append(matches.classes_of(matches.objects), background)  # [-1] is background
    table = np.zeros((background + 1, background + 1), np.int64)
    np.add.at(table, (labels[found[rows]], matches.classes_of(detections)[rows]), 1)
    missed = np.setdiff1d(np.arange(len(matches.objects)), found)
    np.add.at(table, (labels[missed], background), 1)
    return table
