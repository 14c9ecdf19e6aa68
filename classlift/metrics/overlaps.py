"""Which detections overlap which objects, whatever their classes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classlift.metrics.iou import iou
from classlift.metrics.matching import Matches

_AT_ONCE = 10_000  # detections; bounds the memory
_SIDES = ["xmin", "ymin", "xmax", "ymax"]


@dataclass(frozen=True)
class Overlaps:
    """A row a pair: row of `Matches.detections`, row of `Matches.objects`, and their IoU."""

    detections: npt.NDArray[np.int64]
    objects: npt.NDArray[np.int64]
    iou: npt.NDArray[np.float64]


def overlaps(matches: Matches, rows: npt.NDArray[np.int64], least: float) -> Overlaps:
    """The pairs of a detection and an object of one image that overlap enough.

    Args:
        matches: of one split.
        rows: [n], of `matches.detections`; the others are left out.
        least: the IoU of a pair, at least.

    Returns:
        The pairs, in the order of `rows` and objects.

    """
    truth = matches.objects[_SIDES].to_numpy(np.float64)
    found = matches.detections[_SIDES].to_numpy(np.float64)
    images = matches.images_of(matches.objects)
    by_image = np.argsort(images, kind="stable")
    of_rows = matches.images_of(matches.detections)[rows]
    first, last = (np.searchsorted(images[by_image], of_rows, side) for side in ("left", "right"))
    parts = []
    for start in range(0, len(rows), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        counts = last[part] - first[part]
        detections = np.repeat(rows[part], counts)
        place = np.arange(len(detections)) - np.repeat(np.cumsum(counts) - counts, counts)
        objects = by_image[np.repeat(first[part], counts) + place]
        shares = iou(found[detections], truth[objects])
        near = shares >= least
        parts.append((detections[near], objects[near], shares[near]))
    empty = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    return Overlaps(*(np.concatenate(column) for column in zip(empty, *parts, strict=True)))
