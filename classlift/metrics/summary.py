"""The figures that detectors are compared by, as COCO defines them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from classlift.metrics.coco_eval import evaluate

SIZES = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
"""Areas of boxes in pixels²."""

IOU_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).round(2).tolist())
MAX_DETECTIONS = 100
FIGURES = ("AP", "AP50", "AP75", "AR")


def summarize(
    boxes: pa.Table, detections: pa.Table, image_ids: Sequence[str], labels: Sequence[str]
) -> pd.DataFrame:
    """Average precision and recall by class and by size of object.

    The figures equal pycocotools' (Lin et al., "Microsoft COCO", ECCV 2014;
    https://cocodataset.org).

    Args:
        boxes: `schema.BOXES` of the images to judge, in pixels.
        detections: `schema.DETECTIONS` of the same.
        image_ids: all images.
        labels: all classes.

    Returns:
        A row a class, a column for each of `SIZES` and `FIGURES`: AP and AR (the largest recall)
        are means over the IoU thresholds .50, .55, ... .95, with at most 100 detections of a class
        in an image; AP50 and AP75 are those of one threshold. NaN where a class has no object of
        the size.

    Raises:
        EvaluationError: as `matching.match`.

    """
    found = evaluate(boxes, detections, image_ids, labels, IOU_THRESHOLDS, SIZES, MAX_DETECTIONS)
    precision = np.where(found.precision < 0, np.nan, found.precision).mean(axis=1)
    recall = np.where(found.recall < 0, np.nan, found.recall)
    figures = {  # each [classes, sizes]
        "AP": precision.mean(axis=0),
        "AP50": precision[IOU_THRESHOLDS.index(0.5)],
        "AP75": precision[IOU_THRESHOLDS.index(0.75)],
        "AR": recall.mean(axis=0),
    }
    return pd.DataFrame(
        {(size, name): figures[name][:, k] for k, size in enumerate(SIZES) for name in FIGURES},
        index=pd.Index(labels, name="class"),
    )
