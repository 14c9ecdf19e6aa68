"""One matching of detections to labelled objects, which everything that judges a model reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from classlift.metrics.coco_eval import evaluate

IOU_THRESHOLD = 0.5
_ANY_SIZE = {"all": (0.0, 1e10)}
MAX_DETECTIONS = 1000
"""The most detections of one class in one image; more than any detector here returns."""


@dataclass(frozen=True)
class Matches:
    """Detections of one model matched to the labels of one split, class by class.

    Crowd boxes are no objects; detections that match one are left out, as in COCO.

    Attributes:
        image_ids: all images, also those without objects or detections.
        objects: a row a labelled object: image_id, label, box_id, its box in pixels, and `score`
            and `iou` of the detection that found it (NaN where none did).
        detections: a row a detection: image_id, label, score, its box in pixels, `is_match`.
        ap50: average precision at IoU 0.5 by label (COCO's 101 points); NaN without objects.
        units: for each image the name of the unit that it is part of, such as its scene: what is
            drawn and counted as one by the statistics. Empty: each image is a unit of its own.

    """

    image_ids: tuple[str, ...]
    labels: tuple[str, ...]
    objects: pd.DataFrame
    detections: pd.DataFrame
    ap50: dict[str, float]
    units: tuple[str, ...] = ()

    @cached_property
    def ranked_objects(self) -> dict[str, npt.NDArray[np.int64]]:
        """By class, rows of `objects` by falling score; those that nothing found come last."""
        return self._ranked(self.objects)

    @cached_property
    def ranked_detections(self) -> dict[str, npt.NDArray[np.int64]]:
        """By class, rows of `detections` by falling score."""
        return self._ranked(self.detections)

    def _ranked(self, table: pd.DataFrame) -> dict[str, npt.NDArray[np.int64]]:
        classes = self.classes_of(table)
        order = np.lexsort((-table["score"].to_numpy(np.float64), classes))
        parts = np.split(order, np.searchsorted(classes[order], range(1, len(self.labels))))
        return dict(zip(self.labels, parts, strict=True))

    def images_of(self, table: pd.DataFrame) -> npt.NDArray[np.int64]:
        """The place in `image_ids` of the image of each row."""
        return _places(table["image_id"], self.image_ids)

    @cached_property
    def unit_of_image(self) -> npt.NDArray[np.int64]:
        """The number of each image's unit, from 0 in the order in which units come."""
        numbers: dict[str, int] = {}
        names = self.units or self.image_ids
        return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)

    @property
    def unit_count(self) -> int:
        """How many units the images are in."""
        return int(self.unit_of_image.max(initial=-1)) + 1

    def units_of(self, table: pd.DataFrame) -> npt.NDArray[np.int64]:
        """The number of the unit of the image of each row."""
        return self.unit_of_image[self.images_of(table)]

    def classes_of(self, table: pd.DataFrame) -> npt.NDArray[np.int64]:
        """The place in `labels` of the class of each row."""
        return _places(table["label"], self.labels)


def match(
    boxes: pa.Table,
    detections: pa.Table,
    image_ids: Sequence[str],
    labels: Sequence[str],
    units: Sequence[str] = (),
) -> Matches:
    """Matches greedily by score within each image and class at IoU 0.5, as COCO does.

    By faster-coco-eval. Because the match is greedy by score, it holds at every score threshold at
    once.

    Args:
        boxes: `schema.BOXES` of the images to judge, in pixels.
        detections: `schema.DETECTIONS` of the same images.
        image_ids: all images, also those without objects or detections.
        labels: all classes.
        units: of each image, as in `Matches`.

    Returns:
        The matches at every score.

    Raises:
        EvaluationError: scores are not from 0 to 1, boxes are not finite, or labels or images are
            not among those given.

    """
    found = evaluate(
        boxes, detections, image_ids, labels, [IOU_THRESHOLD], _ANY_SIZE, MAX_DETECTIONS
    )
    pairs = np.array([pair.split("_") for pair in found.matched], np.int64).reshape(-1, 2) - 1
    ious = np.array(list(found.matched.values()))
    crowd = found.objects["is_crowd"].to_numpy(bool)
    of_crowd = crowd[pairs[:, 1]]
    is_ignored, is_match = np.zeros((2, len(found.detections)), bool)
    is_ignored[pairs[of_crowd, 0]] = True
    rows, numbers = pairs[~of_crowd].T
    is_match[rows] = True
    by_object = np.full((2, len(found.objects)), np.nan)
    by_object[:, numbers] = found.detections["score"].to_numpy()[rows], ious[~of_crowd]
    precision = found.precision[0, :, :, 0]
    ap50 = np.where(precision.min(axis=0) < 0, np.nan, precision.mean(axis=0))
    return Matches(
        image_ids=tuple(image_ids),
        labels=tuple(labels),
        objects=found.objects.assign(score=by_object[0], iou=by_object[1])[~crowd].reset_index(
            drop=True
        ),
        detections=found.detections.assign(is_match=is_match)[~is_ignored].reset_index(drop=True),
        ap50=dict(zip(labels, ap50.tolist(), strict=True)),
        units=tuple(units),
    )


def _places(values: "pd.Series[str]", known: Sequence[str]) -> npt.NDArray[np.int64]:
    places = {value: place for place, value in enumerate(known)}
    return np.asarray(values.map(places), np.int64)
