"""Labels that a model doubts: a ranked list to look at again, not a verdict.

After Northcutt, Jiang, Chuang: Confident learning, 2021: where a model that is mostly right is
confident and the label says otherwise, the label is worth a look.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from classlift.data.geometry import SIDES
from classlift.data.images import decode_rgb
from classlift.metrics.iou import iou_matrix
from classlift.pages import Picture, draw_box, thumbnail

MIN_SCORE = 0.7
SAME_OBJECT = 0.5
"""IoU from which a detection and a box are of one object."""

NOTHING_THERE = 0.1
"""IoU below which no box is at a detection's place."""

MAX_LISTED = 200
SHOWN = 24
_DETECTION = "#d6336c"


@dataclass(frozen=True)
class Suspicion:
    """One place to look at.

    Attributes:
        kind: `missing label` or `other class`.
        label: what stands there; empty for a missing label.
        source: file and record of what stands there; empty for a missing label.
        box: of the detection, xmin, ymin, xmax, ymax in pixels.

    """

    kind: str
    image_id: str
    label: str
    detected: str
    score: float
    box: tuple[float, float, float, float]
    source: str


def suspicions(
    boxes: pa.Table, detections: pa.Table, min_score: float = MIN_SCORE
) -> list[Suspicion]:
    """Confident detections that the labels contradict.

    A detection of a class at the place of a box of another one is a class swap, unless that box's
    own class is detected there with a higher score. One where no box is at all is a missing label.
    Crowds cover what they cover.

    Args:
        boxes: `schema.BOXES`, in pixels.
        detections: `schema.DETECTIONS` of the same images.
        min_score: from which a detection is confident, 0 to 1.

    Returns:
        The most confident first, at most `MAX_LISTED`.

    """
    truth, found = boxes.to_pandas(), detections.to_pandas()
    truth["label"] = truth["label"].astype(str)
    confident = set(found["image_id"][found["score"] >= min_score])
    found = found[found["image_id"].isin(confident)]
    by_image = dict(iter(truth[truth["image_id"].isin(confident)].groupby("image_id")))
    none = truth.iloc[:0]
    result = []
    for image_id, seen in found.groupby("image_id"):
        labelled = by_image.get(image_id, none)
        result += _of_image(str(image_id), labelled, seen, min_score)
    result.sort(key=lambda s: (-s.score, s.image_id, s.box))
    return result[:MAX_LISTED]


def _of_image(
    image_id: str, labelled: pd.DataFrame, seen: pd.DataFrame, min_score: float
) -> list[Suspicion]:
    corners = seen[SIDES].to_numpy(float)
    overlap = iou_matrix(corners, labelled[SIDES].to_numpy(float))
    labels = labelled["label"].to_numpy()
    names, scores = seen["label"].to_numpy(), seen["score"].to_numpy()
    result = []
    for row in np.flatnonzero(scores >= min_score).tolist():
        box = tuple(round(side, 1) for side in corners[row].tolist())
        common = (image_id, str(names[row]), round(float(scores[row]), 4), box)
        best = int(overlap[row].argmax()) if len(labels) else -1
        if best < 0 or overlap[row, best] < NOTHING_THERE:
            if not _is_repeat(row, scores, corners):
                result.append(_suspicion("missing label", common, "", ""))
        elif overlap[row, best] >= SAME_OBJECT and labels[best] != names[row]:
            same = (overlap[:, best] >= SAME_OBJECT) & (names == labels[best])
            hidden = labelled.iloc[best]["is_crowd"] or (
                same.any() and scores[same].max() >= scores[row]
            )
            # Another box of the detected class at the place explains it.
            explained = ((overlap[row] >= SAME_OBJECT) & (labels == names[row])).any()
            if not hidden and not explained:
                source = str(labelled.iloc[best]["source"])
                result.append(_suspicion("other class", common, str(labels[best]), source))
    return result


def _is_repeat(row: int, scores: npt.NDArray[np.float64], corners: npt.NDArray[np.float64]) -> bool:
    """Whether a more confident detection of any class is at the same place."""
    overlap = iou_matrix(corners[row : row + 1], corners)[0]
    rank = np.arange(len(scores))
    ahead = (scores > scores[row]) | ((scores == scores[row]) & (rank < row))
    return bool((ahead & (overlap >= SAME_OBJECT)).any())


def _suspicion(
    kind: str,
    common: tuple[str, str, float, tuple[float, ...]],
    label: str,
    source: str,
) -> Suspicion:
    image_id, detected, score, (xmin, ymin, xmax, ymax) = common
    return Suspicion(kind, image_id, label, detected, score, (xmin, ymin, xmax, ymax), source)


def pictures(found: Sequence[Suspicion], load: Callable[[str], bytes]) -> list[Picture]:
    """Thumbnails of the first suspicions; load: the encoded image of an image_id."""
    result = []
    for item in found[:SHOWN]:
        image = decode_rgb(load(item.image_id))
        draw_box(image, item.box, _DETECTION)
        says = f"labelled {item.label}" if item.label else "not labelled"
        where = item.source or item.image_id
        caption = f"{says}, detected as {item.detected} at {item.score:.2f}: {where}"
        result.append(Picture(thumbnail(image), caption))
    return result
