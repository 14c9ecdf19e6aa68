"""Intersection over union."""

import numpy as np
import numpy.typing as npt


def iou(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Intersection over union of boxes, pair by pair.

    Args:
        a: [..., 4], xmin, ymin, xmax, ymax, in any unit.
        b: as `a`, of a shape that broadcasts with it, in the same unit.

    Returns:
        [...], 0 to 1; 0 where both have no area.

    >>> iou(np.array([0.0, 0, 2, 2]), np.array([[1.0, 0, 3, 2], [0, 0, 2, 2]])).round(3).tolist()
    [0.333, 1.0]

    """
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    areas = [(box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1]) for box in (a, b)]
    union = areas[0] + areas[1] - shared
    found: npt.NDArray[np.float64] = np.zeros_like(shared)
    np.divide(shared, union, out=found, where=union > 0)
    return found


def iou_matrix(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Intersection over union of each of boxes a [n, 4] with each of b [m, 4]: [n, m]."""
    return iou(a[:, None], b[None])
