"""A branch of a RetinaNet of KerasHub: a class head for some of its classes."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from classlift.detectors.branching import DOUBTED, NEW_SCORE, Features, is_unlabelled
from classlift.detectors.detections import Detections, suppressed
from classlift.detectors.detector import Batch, over_replicas, share_of_replica

if TYPE_CHECKING:
    from classlift.detectors.keras_hub.retinanet import RetinaNetDetector

CANDIDATES = 1000
"""Anchors of one image that non-maximum suppression looks at; as of each level in Lin et al.,
"Focal Loss for Dense Object Detection" (2017), which is where most are dropped by a threshold."""


class RetinaNetBranch:
    """Scores the anchors from the maps of the common pyramid, with a class head that starts from
    the common one. The boxes are of no class, and the common ones.

    Args:
        numbers: the ids of its classes, which may be above those of the detector; its scores have a
            column for each, in their order.

    """

    parts = frozenset({"head", "class-head"})

    def __init__(self, common: "RetinaNetDetector", numbers: Sequence[int]) -> None:
        theirs = common.model.classification_head
        self.numbers = tuple(numbers)
        self.rivalry = tf.Variable(0.0, trainable=False, name="rivalry")
        self.prefix: str | None = None
        self._common = common
        self._anchors = common.model.anchor_generator.num_base_anchors
        config = theirs.get_config()
        config["output_filters"] = self._anchors * len(self.numbers)
        self._head = type(theirs).from_config(config)
        maps = common.model.backbone.output
        self._head.build(next(iter(maps.values())).shape)
        for layer in self._head._flatten_layers():
            layer.dtype_policy = keras.config.dtype_policy()
        for source, target in zip(theirs.weights, self._head.weights, strict=True):
            if not any(target is weight for weight in self._head.prediction_layer.weights):
                target.assign(source)
        self._start(theirs.prediction_layer)

    def _start(self, theirs: keras.layers.Layer) -> None:
        """Takes over what scores its classes; those that the model does not have start at zero,
        with the score `NEW_SCORE` everywhere.
        """
        last = self._common.model.num_classes
        is_new = [number > last for number in self.numbers]
        columns = [0 if new else n - 1 for n, new in zip(self.numbers, is_new, strict=True)]
        for source, target in zip(theirs.weights, self._head.prediction_layer.weights, strict=True):
            start = math.log(NEW_SCORE / (1 - NEW_SCORE)) if len(target.shape) == 1 else 0.0
            by_class = tf.reshape(source.value, [*source.shape[:-1], self._anchors, last])
            own = tf.where(is_new, start, tf.gather(by_class, columns, axis=-1))
            target.assign(tf.reshape(own, target.shape))

    def go_on_from(self, known: "RetinaNetBranch") -> None:
        """Takes over what another branch has learned."""
        for source, target in zip(known.head_variables, self.head_variables, strict=True):
            target.assign(source)
        self.rivalry.assign(known.rivalry)

    def add_auxiliary(self) -> None:
        """Does nothing: there is no such loss here."""

    @property
    def trunk_variables(self) -> list[tf.Variable]:
        """None: its maps are the common ones."""
        return []

    @property
    def head_variables(self) -> list[tf.Variable]:
        """The variables of its layers, in their order."""
        return [weight.value for weight in self._head.weights]

    def variables(self) -> dict[str, tf.Variable]:
        """All variables by name, in the order in which an image passes them."""
        head = self._head
        found = {
            f"head/{layer.name}/{weight.name}": weight.value
            for layer in (*head.conv_layers, *head.group_norm_layers)
            for weight in layer.weights
        }
        for weight in head.prediction_layer.weights:
            found[f"class-head/{head.prediction_layer.name}/{weight.name}"] = weight.value
        return found | {"head/rivalry": self.rivalry}

    def freeze(self, names: frozenset[str]) -> None:
        """Does nothing: it has no batch norms."""

    def cut(self, prefix: str | None) -> None:
        """Prepares for features of the neck; those of the backbone alone can't be kept."""
        self.prefix = prefix if prefix == "neck" else None

    def features(self, images: tf.Tensor) -> Features:
        """The maps that it is fed with, finest first."""
        return self._common.pyramid(images)

    def losses(self, batch: Batch, features: Features | None = None) -> Mapping[str, tf.Tensor]:
        """The losses of its classes; all others are background.

        Args:
            batch: images of the frame with their boxes.
            features: of the frozen prefix, where they were kept.

        Returns:
            Scalars: `class` and `regularization`.

        """
        common, classes = self._common, len(self.numbers)
        maps = self.features(batch.images) if features is None else features
        logits = common.scores(self._head, maps, classes)
        is_own = batch.labels[..., None] == self.numbers
        labels = tf.reduce_sum(tf.where(is_own, range(1, classes + 1), 0), axis=-1)
        boxes = tf.where(labels[..., None] > 0, batch.boxes, 0.0)
        _, owner = common.assign(Batch(batch.images, boxes, labels, batch.weights))
        positive = owner >= 0
        box = tf.cast(tf.maximum(owner, 0.0), tf.int32)
        wanted = tf.where(positive, tf.gather(labels, box, batch_dims=1), 0)
        weights = tf.where(positive, tf.gather(batch.weights, box, batch_dims=1), 0.0)
        background = tf.cast(owner == common.model.label_encoder.background_class, tf.float32)
        background = self._without_regions(background, batch, logits)
        count = over_replicas(tf.reduce_sum(tf.cast(positive, tf.float32)))
        losses = common.class_loss(tf.one_hot(wanted - 1, classes), logits)
        regularization = tf.add_n([tf.constant(0.0), *self._head.losses])
        return {
            "class": tf.reduce_sum(losses * (weights + background)) / tf.maximum(count, 1.0),
            "regularization": share_of_replica(regularization),
        }

    def _without_regions(self, background: tf.Tensor, batch: Batch, logits: tf.Tensor) -> tf.Tensor:
        """The weights of background, 0 where a class is not labelled and the branch sees some."""

        def without() -> tf.Tensor:
            nothing = tf.zeros([1, background.shape[1], 4])
            (anchors,) = tf.unstack(self._common.decode(batch.images, nothing))
            centres = (anchors[:, :2] + anchors[:, 2:]) / 2
            is_seen = tf.sigmoid(tf.reduce_max(logits, axis=-1)) > DOUBTED
            is_doubted = is_unlabelled(centres, batch, self.numbers) & is_seen
            return tf.where(is_doubted, 0.0, background)

        return tf.cond(tf.reduce_any(batch.labels < 0), without, lambda: background)

    def detections(self, maps: Features, boxes: tf.Tensor) -> Detections:
        """What it finds of its classes, by the model's NMS for each.

        Args:
            maps: of the common pyramid.
            boxes: [batch, anchors, 4], in 0..1, of the common head.

        Returns:
            The detections of its classes.

        """
        scores = tf.sigmoid(self._common.scores(self._head, maps, len(self.numbers)))
        count = min(CANDIDATES, scores.shape[1])
        _, candidates = tf.math.top_k(tf.reduce_max(scores, axis=-1), count)
        boxes = tf.gather(boxes, candidates, batch_dims=1)
        scores = tf.gather(scores, candidates, batch_dims=1)
        return suppressed(boxes[:, :, None], scores, self.numbers, self._common.nms)
