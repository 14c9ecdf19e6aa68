"""Confusion between classes, with background: what became of each object, whatever its class."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.metrics.iou import iou_matrix
from components.metrics.matching import IOU_THRESHOLD, Matches


def confusion_matrix(matches: Matches, thresholds: Mapping[str, float]) -> npt.NDArray[np.int64]:
    """[classes + 1, classes + 1]: rows are labels, columns detections, the last is background.

    Detections at their class's threshold are matched to objects of any class, greedily by score,
    at IoU 0.5. The last row counts detections of nothing, the last column missed objects.
    """
    numbers = {label: number for number, label in enumerate(matches.labels)}
    background = len(numbers)
    table = np.zeros((background + 1, background + 1), np.int64)
    kept = matches.detections[
        matches.detections["score"] >= matches.detections["label"].map(thresholds)
    ].sort_values("score", ascending=False, kind="stable")
    sides = ["xmin", "ymin", "xmax", "ymax"]
    by_image = dict(iter(kept.groupby("image_id")))
    empty = kept.iloc[:0]
    objects_by_image = dict(iter(matches.objects.groupby("image_id")))
    for image_id in matches.image_ids:
        found: pd.DataFrame = by_image.get(image_id, empty)
        objects = objects_by_image.get(image_id, matches.objects.iloc[:0])
        overlap = iou_matrix(found[sides].to_numpy(np.float64), objects[sides].to_numpy(np.float64))
        rows = [numbers[label] for label in objects["label"]]
        free = np.ones(len(objects), bool)
        for detection, label in enumerate(found["label"]):
            candidates = np.where(free, overlap[detection], -1.0)
            best = int(candidates.argmax()) if len(candidates) else -1
            if best >= 0 and candidates[best] >= IOU_THRESHOLD:
                free[best] = False
                table[rows[best], numbers[label]] += 1
            else:
                table[background, numbers[label]] += 1
        for row in np.asarray(rows, int)[free]:
            table[row, background] += 1
    return table
