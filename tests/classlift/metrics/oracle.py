"""What pycocotools says of the same tables."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.metrics import pycocotools, records
from classlift.metrics.summary import FIGURES, SIZES


def pycocotools_summary(
    boxes: pa.Table, detections: pa.Table, images: Sequence[str], labels: Sequence[str]
) -> pd.DataFrame:
    """As `summary.summarize`, by COCO's own code."""
    sides = [records(table, images, labels) for table in (boxes, detections)]
    found = pycocotools(*sides, len(images), len(labels))
    precision, recall = (
        np.where(found[name][..., -1] < 0, np.nan, found[name][..., -1])  # at 100 detections
        for name in ("precision", "recall")
    )
    by_threshold = precision.mean(axis=1)
    values = [by_threshold.mean(axis=0), by_threshold[0], by_threshold[5], recall.mean(axis=0)]
    columns = pd.MultiIndex.from_product([SIZES, FIGURES])
    table = np.stack(values, axis=-1).reshape(len(labels), -1)
    return pd.DataFrame(table, index=pd.Index(labels, name="class"), columns=columns)
