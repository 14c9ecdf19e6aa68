"""Target assignment for the SSD family, vectorised over the batch.

The OD API assigns targets image by image in Python, which unrolls the graph: tracing a training
step at batch 32 takes more than twice as long. The result is the same to float precision
(tests/classlift/detectors/od_api/test_targets.py).
"""

from dataclasses import dataclass

import tensorflow as tf

EPSILON = 1e-8  # object_detection.box_coders.faster_rcnn_box_coder.EPSILON


@dataclass(frozen=True)
class Targets:
    """What each anchor should predict.

    Attributes:
        classes: float32[batch, anchors, classes + 1], one-hot with background first; all zero for
            background (the OD API's `encode_background_as_zeros`).
        class_weights: float32[batch, anchors].
        boxes: float32[batch, anchors, 4], encoded ty, tx, th, tw.
        box_weights: float32[batch, anchors].

    """

    classes: tf.Tensor
    class_weights: tf.Tensor
    boxes: tf.Tensor
    box_weights: tf.Tensor


@dataclass(frozen=True)
class TargetAssigner:
    """ArgMaxMatcher and FasterRcnnBoxCoder of the OD API, for a whole batch of padded boxes.

    Attributes:
        anchors: float32[anchors, 4], ymin, xmin, ymax, xmax in 0..1.
        classes: number of classes without background.
        matched: IoU at and above which an anchor is positive.
        unmatched: IoU below which it is background; between the two it is ignored.
        force_match: whether each box gets its best anchor whatever the IoU.
        scales: the box coder's factors for y, x, height, width.

    """

    anchors: tf.Tensor
    classes: int
    matched: float
    unmatched: float
    force_match: bool
    scales: tuple[float, float, float, float]

    def __call__(self, boxes: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> Targets:
        """Targets for boxes [batch, boxes, 4] with labels from 1, 0 for padding, and weights."""
        return self.of_padded(*_labelled(boxes, labels, weights))

    def of_padded(self, boxes: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> Targets:
        """The same, with as much work for padding as for boxes."""
        valid = labels > 0
        overlap = tf.where(valid[..., None], self._iou(boxes), 0.0)
        best = tf.reduce_max(overlap, axis=1)
        matches = tf.argmax(overlap, axis=1, output_type=tf.int32)
        positive = best >= self.matched
        ignored = ~positive & (best >= self.unmatched)
        if self.force_match:
            anchors = self.anchors.shape[0]
            forced = tf.one_hot(tf.argmax(overlap, axis=2), anchors)
            forced *= tf.cast(valid, tf.float32)[..., None]
            is_forced = tf.reduce_max(forced, axis=1) > 0
            matches = tf.where(is_forced, tf.argmax(forced, axis=1, output_type=tf.int32), matches)
            positive |= is_forced
            ignored &= ~is_forced
        matched_boxes = tf.gather(boxes, matches, batch_dims=1)
        matched_labels = tf.gather(labels, matches, batch_dims=1)
        matched_weights = tf.gather(weights, matches, batch_dims=1)
        is_positive = tf.cast(positive, tf.float32)
        return Targets(
            classes=tf.one_hot(matched_labels, self.classes + 1) * is_positive[..., None],
            class_weights=tf.where(positive, matched_weights, tf.where(ignored, 0.0, 1.0)),
            boxes=self._encode(matched_boxes) * is_positive[..., None],
            box_weights=matched_weights * is_positive,
        )

    def _iou(self, boxes: tf.Tensor) -> tf.Tensor:
        """float32[batch, boxes, anchors]."""
        a, b = self.anchors[None, None], boxes[:, :, None]
        height = tf.maximum(
            0.0, tf.minimum(a[..., 2], b[..., 2]) - tf.maximum(a[..., 0], b[..., 0])
        )
        width = tf.maximum(0.0, tf.minimum(a[..., 3], b[..., 3]) - tf.maximum(a[..., 1], b[..., 1]))
        shared = height * width
        areas = [(c[..., 2] - c[..., 0]) * (c[..., 3] - c[..., 1]) for c in (a, b)]
        return tf.math.divide_no_nan(shared, areas[0] + areas[1] - shared)

    def _encode(self, boxes: tf.Tensor) -> tf.Tensor:
        a_height, a_width, a_y, a_x = _centre_form(self.anchors)
        height, width, y, x = _centre_form(boxes)
        height, width = tf.maximum(height, EPSILON), tf.maximum(width, EPSILON)
        scale_y, scale_x, scale_height, scale_width = self.scales
        return tf.stack(
            [
                (y - a_y) / a_height * scale_y,
                (x - a_x) / a_width * scale_x,
                tf.math.log(height / a_height) * scale_height,
                tf.math.log(width / a_width) * scale_width,
            ],
            axis=-1,
        )


def _labelled(
    boxes: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The boxes of a batch that have a label, in their order, with as little padding as can be.

    A branch learns one class: most boxes are none of its own.

    Returns:
        Boxes, labels and weights.

    """
    padding = tf.cast(labels <= 0, tf.int32)
    most = tf.reduce_max(tf.reduce_sum(1 - padding, axis=1))
    order = tf.argsort(padding, axis=1, stable=True)[:, : tf.maximum(most, 1)]
    return tuple(tf.gather(values, order, batch_dims=1) for values in (boxes, labels, weights))


def _centre_form(boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Height, width, centre y, centre x of ymin, xmin, ymax, xmax boxes."""
    ymin, xmin, ymax, xmax = tf.unstack(boxes, axis=-1)
    return ymax - ymin, xmax - xmin, (ymin + ymax) / 2, (xmin + xmax) / 2
