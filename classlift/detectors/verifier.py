"""A second look at what a branch has found: a line through what is known of each detection.

A branch scores anchors, and does not see what the common head says of the same place, nor how well
their boxes agree. A verifier does, and has a say in the score of the branch's own class alone.
"""

from collections.abc import Sequence
from dataclasses import replace

import tensorflow as tf

from classlift.detectors.detections import RIVAL_IOU, Detections, iou

SHARE = 0.25
"""The verifier's share of a score's logit; a half is worse, see docs/benchmarks/recipes.md."""

_LEAST = 1e-4  # scores below are as good as none
_SMALL = 1e-3  # of the image's side


class Verifier:
    """Judges a class's detections.

    Args:
        inputs: how many facts and features a line weighs.

    Attributes:
        line: a variable [inputs + 1], the weights and then what is added; in logits.

    """

    def __init__(self, inputs: int) -> None:
        self.line = tf.Variable(tf.zeros([inputs + 1]), trainable=False, name="verifier")

    @property
    def inputs(self) -> int:
        """How many facts and features it weighs."""
        return int(self.line.shape[0]) - 1

    def judged(self, found: Detections, evidence: tf.Tensor) -> Detections:
        """Detections with the scores that it leaves them.

        Args:
            found: of its class.
            evidence: of each, as `evidence_of` gives it.

        Returns:
            The same boxes, in the same order.

        """
        says = tf.linalg.matvec(evidence, self.line[:-1]) + self.line[-1]
        return replace(found, scores=verified(found.scores, says))


def verified(scores: tf.Tensor, says: tf.Tensor) -> tf.Tensor:
    """The scores of detections, with a verifier's logits of the same shape."""
    return tf.sigmoid((1 - SHARE) * _logit(scores, 1e-6) + SHARE * says)


def evidence_of(found: Detections, common: Detections, maps: Sequence[tf.Tensor]) -> tf.Tensor:
    """What is known of a branch's detections.

    Args:
        found: of one class, of the branch.
        common: of the common head, in the same images, of all classes.
        maps: [batch, rows, columns, channels] each, that describe the images.

    Returns:
        float32[batch, n, inputs]: the logits of the branch's score, and of the highest scores that
        the common head has at the same place for the class and for others; the largest overlap with
        any of its detections; the logarithms of area and aspect; and features.

    """
    overlaps = tf.where(common.valid()[:, None], iou(found.boxes, common.boxes), 0.0)
    same = common.classes[:, None] == found.classes[..., None]

    def highest(of: tf.Tensor) -> tf.Tensor:
        there = of & (overlaps > RIVAL_IOU)
        return tf.reduce_max(tf.where(there, common.scores[:, None], 0.0), axis=2)

    sides = tf.maximum(found.boxes[..., 2:] - found.boxes[..., :2], _SMALL)
    facts = [
        _logit(found.scores, _LEAST),
        _logit(highest(same), _LEAST),
        _logit(highest(~same), _LEAST),
        tf.maximum(tf.reduce_max(overlaps, axis=2), 0.0),
        tf.reduce_sum(tf.math.log(sides), axis=-1),
        tf.math.log(sides[..., 1] / sides[..., 0]),
    ]
    return tf.concat([tf.stack(facts, axis=-1), pooled(maps, found.boxes)], axis=-1)


def pooled(maps: Sequence[tf.Tensor], boxes: tf.Tensor) -> tf.Tensor:
    """Features of boxes: maps within each box, on a grid of two by two.

    Args:
        maps: [batch, rows, columns, channels] each.
        boxes: [batch, boxes, 4], ymin, xmin, ymax, xmax in 0..1.

    Returns:
        float32[batch, boxes, depth].

    """
    batch, count = tf.shape(boxes)[0], tf.shape(boxes)[1]
    flat, owners = tf.reshape(boxes, [-1, 4]), tf.repeat(tf.range(batch), count)
    found = []
    for feature_map in maps:
        crops = tf.image.crop_and_resize(feature_map, flat, owners, [4, 4])
        cells = tf.nn.avg_pool2d(crops, 2, 2, "VALID")
        found.append(tf.reshape(cells, [batch, count, 4 * feature_map.shape[-1]]))
    return tf.concat(found, axis=-1)


def _logit(scores: tf.Tensor, least: float) -> tf.Tensor:
    scores = tf.clip_by_value(scores, least, 1 - least)
    return tf.math.log(scores) - tf.math.log1p(-scores)
