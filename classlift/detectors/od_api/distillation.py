"""Distillation: the answers of the champion, which training should keep."""

import tensorflow as tf

from classlift.detectors.detector import ChampionOutputs, over_replicas


def distillation(
    boxes: tf.Tensor, scores: tf.Tensor, champion_outputs: ChampionOutputs, first: int
) -> tf.Tensor:
    """How far the answers are from the champion's, for all classes but those left free.

    Squared differences of the scores after the sigmoid, and of the box encodings where the champion
    sees an object of such a class, weighted by its score; each anchor counts by the champion's
    scores, so that the loss is per object, as the others are. After Shmelkov et al., "Incremental
    Learning of Object Detectors without Catastrophic Forgetting" (2017), with the sigmoid of
    today's detectors.

    Args:
        boxes: [batch, anchors, 4], encoded.
        scores: [batch, anchors, columns], before the sigmoid.
        champion_outputs: the champion's for the same images.
        first: the column of the class 1.

    Returns:
        A scalar.

    """
    old_boxes, old_scores = champion_outputs.outputs
    numbers = range(1, scores.shape[-1] - first + 1)
    kept = tf.constant([n - 1 + first for n in numbers if n not in champion_outputs.free])
    before = tf.sigmoid(tf.gather(old_scores, kept, axis=-1))
    after = tf.sigmoid(tf.gather(scores, kept, axis=-1))
    object_weight = tf.reduce_max(before, axis=-1)
    objects = tf.maximum(over_replicas(tf.reduce_sum(object_weight)), 1.0)
    of_scores = tf.reduce_sum(tf.square(before - after))
    of_boxes = tf.reduce_sum(object_weight * tf.reduce_mean(tf.square(old_boxes - boxes), axis=-1))
    return (of_scores + of_boxes) / objects
