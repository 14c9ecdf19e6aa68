"""Detections of a batch, and how those of branches join those of the common head."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

RIVAL_IOU = 0.5
"""Overlap from which two detections are of one object, as in matching."""


@dataclass(frozen=True)
class Suppression:
    """Settings of non-maximum suppression, by the names that the OD API's configs have for them."""

    max_detections_per_class: int
    iou_threshold: float
    score_threshold: float = 0.0


@dataclass(frozen=True)
class Detections:
    """The objects of a batch, the valid ones first: boxes [batch, n, 4] ymin, xmin, ymax, xmax in
    0..1, classes [batch, n] from 1, scores [batch, n], and how many are valid [batch]; all float32.
    """

    boxes: tf.Tensor
    classes: tf.Tensor
    scores: tf.Tensor
    count: tf.Tensor

    @classmethod
    def of_od_api(cls, found: Mapping[str, tf.Tensor]) -> "Detections":
        """What the post-processing of a model of the OD API answers, whose classes count from 0."""
        return cls(
            found["detection_boxes"],
            tf.cast(found["detection_classes"], tf.float32) + 1,
            found["detection_scores"],
            tf.cast(found["num_detections"], tf.float32),
        )

    def valid(self) -> tf.Tensor:
        """bool[batch, n]."""
        return tf.range(tf.shape(self.scores)[1]) < tf.cast(self.count, tf.int32)[:, None]

    def others(self, numbers: Sequence[int]) -> tf.Tensor:
        """bool[batch, n], the valid ones that are of none of these classes."""
        taken = tf.reduce_any(self.classes[..., None] == tf.cast(numbers, tf.float32), axis=-1)
        return self.valid() & ~taken

    def discounted(self, rivals: "Detections", rivalry: tf.Tensor) -> "Detections":
        """Discounts scores by what other classes see at the same place.

        Args:
            rivals: detections in the same images.
            rivalry: by how much, 0 or more.

        Returns:
            These with each score times (1 - r) ** rivalry, r being the highest score of a detection
            of another class among the rivals that overlaps it.

        """
        overlaps = iou(self.boxes, rivals.boxes) > RIVAL_IOU
        differs = rivals.classes[:, None] != self.classes[..., None]
        is_rival = rivals.valid()[:, None] & differs & overlaps
        strongest = tf.reduce_max(tf.where(is_rival, rivals.scores[:, None], 0.0), axis=2)
        scores = self.scores * (1.0 - strongest) ** rivalry
        return Detections(self.boxes, self.classes, scores, self.count)

    def as_od_api(self) -> Mapping[str, tf.Tensor]:
        """By the names of the OD API."""
        return {
            "detection_boxes": self.boxes,
            "detection_classes": self.classes,
            "detection_scores": self.scores,
            "num_detections": self.count,
        }


def merge(common: Detections, branches: Sequence[Detections], numbers: Sequence[int]) -> Detections:
    """Puts the detections of branches in the place of the common ones.

    Args:
        common: of the model itself.
        branches: of each branch, in the same images.
        numbers: ids of the classes that have one; the common detections of these are left out.

    Returns:
        All by falling score, each as it is; then padding: zeros, and class 1 as the OD API has it.

    """
    parts = [common, *branches]
    valid = [common.others(numbers), *(branch.valid() for branch in branches)]
    kept = tf.concat(valid, axis=1)
    scores = tf.concat([part.scores for part in parts], axis=1)
    order = tf.argsort(tf.where(kept, -scores, float("inf")), axis=1, stable=True)
    kept = tf.gather(kept, order, batch_dims=1)

    def column(values: Sequence[tf.Tensor], padding: float) -> tf.Tensor:
        ordered = tf.gather(tf.concat(values, axis=1), order, batch_dims=1)
        mask = kept[..., None] if ordered.shape.ndims == 3 else kept
        return tf.where(mask, ordered, padding)

    return Detections(
        column([part.boxes for part in parts], 0.0),
        column([part.classes for part in parts], 1.0),
        column([part.scores for part in parts], 0.0),
        tf.reduce_sum(tf.cast(kept, tf.float32), axis=1),
    )


def iou(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Intersection over union of boxes a [batch, n, 4] and b [batch, m, 4]: [batch, n, m]."""
    low = tf.maximum(a[:, :, None, :2], b[:, None, :, :2])
    high = tf.minimum(a[:, :, None, 2:], b[:, None, :, 2:])
    shared = tf.reduce_prod(tf.maximum(high - low, 0.0), axis=-1)
    areas = [tf.reduce_prod(boxes[..., 2:] - boxes[..., :2], axis=-1) for boxes in (a, b)]
    return tf.math.divide_no_nan(shared, areas[0][:, :, None] + areas[1][:, None] - shared)


def suppressed(boxes: tf.Tensor, scores: tf.Tensor, numbers: Sequence[int], nms: Any) -> Detections:
    """Non-maximum suppression of the detections of some classes, each with a budget of its own.

    Args:
        boxes: [batch, n, classes or 1, 4], in 0..1.
        scores: [batch, n, classes], in the order of their numbers.
        numbers: ids of the classes.
        nms: a `Suppression`, or a config's `batch_non_max_suppression`, whose thresholds and budget
            of one class hold.

    Returns:
        Those that are kept, by falling score.

    """
    budget = nms.max_detections_per_class
    found = tf.image.combined_non_max_suppression(
        boxes,
        scores,
        max_output_size_per_class=budget,
        max_total_size=budget * len(numbers),
        iou_threshold=nms.iou_threshold,
        score_threshold=nms.score_threshold,
        clip_boxes=True,
    )
    return Detections(
        found.nmsed_boxes,
        tf.gather(tf.cast(numbers, tf.float32), tf.cast(found.nmsed_classes, tf.int32)),
        found.nmsed_scores,
        tf.cast(found.valid_detections, tf.float32),
    )
