"""The losses of D-FINE with a weight for each box, over all stages and images at once.

Peng et al., "D-FINE: Redefine Regression Task in DETRs as Fine-grained Distribution Refinement"
(2024), as KerasHub has them. KerasHub's own take no weights, compare every image of a batch with
the boxes of the first, and assign in loops over pairs of queries; for one image with as many boxes
as queries, theirs and these are equal.
"""

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from scipy.optimize import linear_sum_assignment

from classlift.detectors.detector import Batch, over_replicas

TINY = 1e-8
FORBIDDEN = 1e9
"""Instead of a cost that is no number, so that a training that diverges is told by its losses."""


@dataclass(frozen=True)
class Stages:
    """What a model says at each stage: the decoder's first guess, then after each of its layers;
    last come the encoder's proposals, which have neither corners nor points.

    Attributes:
        logits: float32[batch, stages, queries, classes].
        boxes: float32[batch, stages, queries, 4], centre x, y, width, height in 0..1.
        corners: float32[batch, stages - 1, queries, 4 * bins], logits of the distance of each side.
        points: float32[batch, stages - 1, queries, 4], the boxes that distances are measured from.

    """

    logits: tf.Tensor
    boxes: tf.Tensor
    corners: tf.Tensor
    points: tf.Tensor


@dataclass(frozen=True)
class Costs:
    """What makes a query and a box a bad pair: the factors of its three costs.

    Attributes:
        focal: whether the cost of a class is that of the focal loss, with alpha and gamma;
            otherwise it is the softmax.

    """

    category: float
    distance: float
    ciou: float
    alpha: float
    gamma: float
    focal: bool


def assign(stages: Stages, batch: Batch, costs: Costs) -> tf.Tensor:
    """Assigns the boxes to queries at each stage.

    It is the cheapest one-to-one assignment, after Carion et al., "End-to-End Object Detection with
    Transformers" (2020).

    Args:
        stages: what the model answers.
        batch: images with their boxes.
        costs: the weights of what a pair costs.

    Returns:
        int32[batch, stages, queries]: the number of the box that each query answers for, or -1.

    """
    labels, boxes = tf.maximum(batch.labels - 1, 0), _centred(batch.boxes)
    cost = (
        costs.category * _class_cost(stages.logits, labels, costs)
        + costs.distance
        * tf.reduce_sum(tf.abs(stages.boxes[..., None, :] - boxes[:, None, None]), axis=-1)
        - costs.ciou * _ciou(stages.boxes[..., None, :], boxes[:, None, None])
    )
    # SciPy has a fast solver; as a plain function it runs on the host, with the same result always.
    found = tf.numpy_function(_solve, [cost, batch.labels > 0], tf.int32, stateful=False)
    return tf.ensure_shape(tf.stop_gradient(found), stages.logits.shape[:3])


def _class_cost(logits: tf.Tensor, labels: tf.Tensor, costs: Costs) -> tf.Tensor:
    """float32[batch, stages, queries, boxes]."""
    scores = tf.sigmoid(logits) if costs.focal else tf.nn.softmax(logits)
    chosen = tf.gather(tf.transpose(scores, [0, 3, 1, 2]), labels, batch_dims=1)
    p = tf.transpose(chosen, [0, 2, 3, 1])
    if not costs.focal:
        return -p
    positive = costs.alpha * (1 - p) ** costs.gamma * -tf.math.log(p + TINY)
    negative = (1 - costs.alpha) * p**costs.gamma * -tf.math.log(1 - p + TINY)
    return positive - negative


def _solve(cost: np.ndarray, is_box: np.ndarray) -> np.ndarray:
    found = np.full(cost.shape[:3], -1, np.int32)
    cost = np.nan_to_num(cost, nan=FORBIDDEN, posinf=FORBIDDEN, neginf=-FORBIDDEN)
    for image, stage in np.ndindex(*cost.shape[:2]):
        boxes = np.flatnonzero(is_box[image])
        queries, columns = linear_sum_assignment(cost[image, stage][:, boxes])
        found[image, stage, queries] = boxes[columns]
    return found


@dataclass(frozen=True)
class Bins:
    """Where the distributions of distances have their bins.

    Attributes:
        edges: float32[bins], ascending.
        scale: of distances, in shares of half a reference box.

    """

    edges: tf.Tensor
    scale: tf.Tensor

    @classmethod
    def of(cls, decoder: keras.layers.Layer) -> "Bins":
        """The weighting of a decoder: W(n) of the paper.

        Args:
            decoder: with the paper's a and c as `upsampling_factor` and `reg_scale`.

        Returns:
            The bins with their edges by rising distance.

        """
        scale = tf.abs(tf.convert_to_tensor(decoder.reg_scale))[0]
        bound = tf.abs(tf.convert_to_tensor(decoder.upsampling_factor))[0] * scale
        half = decoder.max_num_bins // 2
        powers = (bound + 1) ** (2.0 / (decoder.max_num_bins - 2) * tf.range(1.0, float(half))) - 1
        right = tf.concat([powers, [2 * bound]], axis=0)
        return cls(tf.concat([-right[::-1], [0.0], right], axis=0), scale)


@dataclass(frozen=True)
class Matches:
    """What the boxes that queries answer for say of them, at each stage [batch, stages, queries].

    Attributes:
        matched: whether there is one.
        weights: its weight; 0 without one.
        boxes: [..., 4] as `Stages.boxes`, the query's own without one.
        iou: with it.
        labels: its class; 0 without one.

    """

    matched: tf.Tensor
    weights: tf.Tensor
    boxes: tf.Tensor
    iou: tf.Tensor
    labels: tf.Tensor

    @classmethod
    def of(cls, stages: Stages, batch: Batch, assigned: tf.Tensor) -> "Matches":
        """Those that `assign` has found."""
        matched = assigned >= 0
        box = tf.maximum(assigned, 0)
        weights = tf.where(matched, tf.gather(batch.weights, box, batch_dims=1), 0.0)
        # A query without a box is compared with itself: no loss, and no gradient that is no number.
        own = tf.stop_gradient(stages.boxes)
        target = tf.gather(_centred(batch.boxes), box, batch_dims=1)
        target = tf.where(matched[..., None], target, own)
        iou = tf.where(matched, _iou(own, target), 0.0)
        labels = tf.where(matched, tf.gather(batch.labels, box, batch_dims=1), 0)
        return cls(matched, weights, target, iou, labels)


def class_loss(
    stages: Stages,
    batch: Batch,
    assigned: tf.Tensor,
    alpha: float,
    gamma: float,
    background: tf.Tensor | float = 1.0,
) -> tf.Tensor:
    """The varifocal loss of the classes, as in `losses`.

    Args:
        stages: what the model answers.
        batch: images with their boxes.
        assigned: of `assign`.
        alpha: of the loss.
        gamma: as `alpha`.
        background: the weight of a query without a box, [batch, stages, queries].

    Returns:
        A scalar.

    """
    found = Matches.of(stages, batch, assigned)
    is_class = tf.one_hot(found.labels - 1, stages.logits.shape[-1])
    quality = found.iou[..., None] * is_class
    scores = tf.sigmoid(tf.stop_gradient(stages.logits))
    focus = alpha * scores**gamma * (1 - is_class) + quality
    vfl = focus * tf.nn.sigmoid_cross_entropy_with_logits(quality, stages.logits)
    vfl = tf.reduce_sum(vfl, axis=-1) * tf.where(found.matched, found.weights, background)
    return tf.reduce_sum(vfl) / _count(batch)


def _count(batch: Batch) -> tf.Tensor:
    """The number of boxes in the batch of all replicas, at least 1."""
    count = tf.reduce_sum(tf.cast(batch.labels > 0, tf.float32))
    return tf.maximum(over_replicas(count), 1.0)


def losses(
    stages: Stages,
    batch: Batch,
    assigned: tf.Tensor,
    bins: Bins,
    alpha: float,
    gamma: float,
    temperature: float,
) -> dict[str, tf.Tensor]:
    """The losses by KerasHub's names, summed over the stages.

    A query weighs as much as its box, and 1 if it has none. All but ddf are sums over queries,
    divided by the number of boxes in the batch, whatever they weigh.

    Args:
        stages: what the model answers.
        batch: images with their boxes.
        assigned: of `assign`.
        bins: of the decoder.
        alpha: of the varifocal loss.
        gamma: as `alpha`.
        temperature: of the distributions that are compared for ddf.

    Returns:
        Scalars. vfl: varifocal, of the classes. bbox, ciou: of the boxes. fgl: fine-grained
        localization, of the distributions. ddf: what the distributions learn from those of the last
        layer.

    """
    found = Matches.of(stages, batch, assigned)
    matched, target, iou, weights = found.matched, found.boxes, found.iou, found.weights
    count = _count(batch)
    distances = tf.reduce_sum(tf.abs(stages.boxes - target), axis=-1)
    fgl = _fine_grained(stages, target[:, :-1], bins) * (iou * weights)[:, :-1]
    return {
        "vfl": class_loss(stages, batch, assigned, alpha, gamma),
        "bbox": tf.reduce_sum(distances * weights) / count,
        "ciou": tf.reduce_sum((1 - _ciou(stages.boxes, target)) * weights) / count,
        "fgl": tf.reduce_sum(fgl) / count,
        "ddf": _refinement(stages, matched, iou, weights, temperature),
    }


def corners_of(boxes: tf.Tensor) -> tf.Tensor:
    """xmin, ymin, xmax, ymax of boxes [..., 4] of centre x, y, width, height."""
    centre, size = boxes[..., :2], boxes[..., 2:]
    return tf.concat([centre - size / 2, centre + size / 2], axis=-1)


def _centred(boxes: tf.Tensor) -> tf.Tensor:
    """Centre x, y, width, height of boxes [..., 4] of ymin, xmin, ymax, xmax."""
    ymin, xmin, ymax, xmax = tf.unstack(boxes, axis=-1)
    return tf.stack([(xmin + xmax) / 2, (ymin + ymax) / 2, xmax - xmin, ymax - ymin], axis=-1)


def _iou(boxes: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """[...] of boxes [..., 4], one against one."""
    pairs = [tf.reshape(corners_of(b), [-1, 1, 4]) for b in (boxes, others)]
    found = keras.utils.bounding_boxes.compute_iou(*pairs, bounding_box_format="xyxy")
    return tf.reshape(found, tf.shape(boxes)[:-1])


def _ciou(boxes: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """[...] of boxes [..., 4], one against one, with broadcasting."""
    return keras.utils.bounding_boxes.compute_ciou(
        corners_of(boxes), corners_of(others), bounding_box_format="xyxy"
    )


def _fine_grained(stages: Stages, target: tf.Tensor, bins: Bins) -> tf.Tensor:
    """The cross-entropy of the two bins around each true distance.

    Returns:
        [batch, stages - 1, queries]; a distance outside of all bins has no loss.

    """
    points, corners = stages.points, corners_of(target)
    outward = tf.constant([-1.0, -1.0, 1.0, 1.0])
    centre, size = (tf.concat([part, part], -1) for part in tf.split(points, 2, axis=-1))
    distance = outward * (corners - centre) / (size / bins.scale + 1e-16) - bins.scale / 2
    last = bins.edges.shape[0] - 1
    number = tf.reduce_sum(tf.cast(bins.edges <= distance[..., None], tf.int32), axis=-1) - 1
    is_inside = (number >= 0) & (number < last)
    left = tf.clip_by_value(number, 0, last - 1)
    below = tf.abs(distance - tf.gather(bins.edges, left))
    above = tf.abs(tf.gather(bins.edges, left + 1) - distance)
    share = below / (below + above + TINY)
    logits = _by_side(stages.corners)

    def entropy(chosen: tf.Tensor) -> tf.Tensor:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(chosen, logits)

    both = entropy(left) * (1 - share) + entropy(left + 1) * share
    return tf.reduce_sum(tf.where(is_inside, both, 0.0), axis=-1)


def _refinement(
    stages: Stages, matched: tf.Tensor, iou: tf.Tensor, weights: tf.Tensor, temperature: float
) -> tf.Tensor:
    """The decoupled distillation focal loss: each layer but the last two learns from the last.

    A query with a box counts by the quality of its own, another by the score of the last layer;
    both groups are averaged, and weigh by the roots of their sizes.

    Returns:
        A scalar.

    """
    student, teacher = (_by_side(corners) for corners in (stages.corners, stages.corners[:, -1:]))
    student, matched = student[:, :-2], matched[:, :-3]
    p = tf.nn.softmax(tf.stop_gradient(teacher) / temperature)
    q = tf.nn.softmax(student / temperature)
    divergence = tf.reduce_sum(p * (tf.math.log(p + TINY) - tf.math.log(q + TINY)), axis=-1)
    confidence = tf.reduce_max(tf.sigmoid(stages.logits[:, -2:-1]), axis=-1)
    focus = tf.stop_gradient(tf.where(matched, iou[:, :-3], confidence))
    loss = tf.reduce_sum(divergence, axis=-1) * focus * temperature**2

    images = over_replicas(tf.cast(tf.shape(loss)[0], tf.float32))
    total, roots = 0.0, 0.0
    for group, weight in ((matched, weights[:, :-3]), (~matched, 1.0)):
        member = tf.cast(group, tf.float32)
        count = over_replicas(tf.reduce_sum(member, axis=[0, 2]))
        mean = tf.math.divide_no_nan(tf.reduce_sum(loss * member * weight, axis=[0, 2]), 4 * count)
        root = tf.sqrt(count / images)
        total, roots = total + mean * root, roots + root
    return tf.reduce_sum(total / (roots + TINY))


def _by_side(corners: tf.Tensor) -> tf.Tensor:
    """[batch, stages, queries, sides, bins] of logits [batch, stages, queries, sides * bins]."""
    *_, queries, width = corners.shape
    return tf.reshape(corners, [-1, corners.shape[1], queries, 4, width // 4])
