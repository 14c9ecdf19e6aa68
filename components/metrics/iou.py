"""Intersection over union."""

import numpy as np
import numpy.typing as npt


def iou_matrix(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Intersection over union of boxes a [n, 4] and b [m, 4], xmin, ymin, xmax, ymax: [n, m].

    >>> iou_matrix(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2]])).round(3).tolist()
    [[0.333]]
    """
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=-1)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=-1) for boxes in (a, b)]
    union = areas[0][:, None] + areas[1][None] - shared
    iou: npt.NDArray[np.float64] = np.zeros_like(shared)
    np.divide(shared, union, out=iou, where=union > 0)
    return iou
