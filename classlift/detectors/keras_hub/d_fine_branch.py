"""A branch of a D-FINE of KerasHub: scores of its own for some of its classes."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from classlift.detectors.branching import DOUBTED, NEW_SCORE, Features, is_unlabelled
from classlift.detectors.detections import Detections
from classlift.detectors.detector import Batch
from classlift.detectors.keras_hub import d_fine_loss

if TYPE_CHECKING:
    from classlift.detectors.keras_hub.d_fine import DFineDetector


class DFineBranch:
    """Corrects what the last layer of the decoder scores each query with, by two layers that read
    the query; the second starts at zero. Queries and boxes are of no class, and the common ones.

    Args:
        numbers: the ids of its classes, which may be above those of the detector; its scores have a
            column for each, in their order.

    """

    parts = frozenset({"head", "class-head"})

    def __init__(self, common: "DFineDetector", numbers: Sequence[int]) -> None:
        self.numbers = tuple(numbers)
        self.rivalry = tf.Variable(0.0, trainable=False, name="rivalry")
        self.prefix: str | None = None
        self._common = common
        depth = common.model.backbone.hidden_dim
        self._hidden = keras.layers.Dense(depth, activation="relu", name="hidden")
        self._last = keras.layers.Dense(
            len(self.numbers), kernel_initializer="zeros", name="correction"
        )
        for layer in (self._hidden, self._last):
            layer.build([None, None, depth])

    def go_on_from(self, known: "DFineBranch") -> None:
        """Takes over what another branch has learned."""
        for source, target in zip(known.head_variables, self.head_variables, strict=True):
            target.assign(source)
        self.rivalry.assign(known.rivalry)

    def add_auxiliary(self) -> None:
        """Does nothing: there is no such loss here."""

    @property
    def trunk_variables(self) -> list[tf.Variable]:
        """None: its queries are the common ones."""
        return []

    @property
    def head_variables(self) -> list[tf.Variable]:
        """The variables of its layers, in their order."""
        return [w.value for layer in (self._hidden, self._last) for w in layer.weights]

    def variables(self) -> dict[str, tf.Variable]:
        """All variables by name, in the order in which a query passes them."""
        found = {f"head/hidden/{w.name}": w.value for w in self._hidden.weights}
        found |= {f"class-head/correction/{w.name}": w.value for w in self._last.weights}
        return found | {"head/rivalry": self.rivalry}

    def freeze(self, names: frozenset[str]) -> None:
        """Does nothing: it has no batch norms."""

    def cut(self, prefix: str | None) -> None:
        """Prepares for features of the neck; those of the backbone alone can't be kept."""
        self.prefix = prefix if prefix == "neck" else None

    def features(self, images: tf.Tensor) -> Features:
        """What it reads: queries, common scores before the sigmoid, and boxes; all are frozen."""
        return self._common.queries(images)

    def _logits(self, features: Features) -> tf.Tensor:
        """Its scores before the sigmoid [batch, queries, columns]."""
        queries, common, _ = features
        last = common.shape[-1]
        new = tf.fill(tf.shape(common)[:2], math.log(NEW_SCORE / (1 - NEW_SCORE)))
        start = [common[..., n - 1] if n <= last else new for n in self.numbers]
        correction = tf.cast(self._last(self._hidden(queries)), tf.float32)
        return tf.stack(start, axis=-1) + correction

    def losses(self, batch: Batch, features: Features | None = None) -> Mapping[str, tf.Tensor]:
        """The losses of its classes; all others are background.

        Args:
            batch: images of the frame with their boxes.
            features: where they were kept.

        Returns:
            Scalars: `class` and `regularization`.

        """
        features = self.features(batch.images) if features is None else features
        logits, boxes = self._logits(features)[:, None], features[2][:, None]
        is_own = batch.labels[..., None] == self.numbers
        labels = tf.reduce_sum(tf.where(is_own, range(1, len(self.numbers) + 1), 0), axis=-1)
        own = Batch(batch.images, batch.boxes, labels, batch.weights)
        stages = d_fine_loss.Stages(logits, boxes, corners=logits, points=boxes)
        assigned = d_fine_loss.assign(stages, own, self._common.costs)
        weights = self._without_regions(logits, boxes, batch)
        loss = d_fine_loss.class_loss(stages, own, assigned, *self._common.focal, weights)
        return {
            "class": self._common.model.weight_dict["loss_vfl"] * loss,
            "regularization": tf.constant(0.0),
        }

    def _without_regions(self, logits: tf.Tensor, boxes: tf.Tensor, batch: Batch) -> tf.Tensor:
        """Weights of queries without a box: 0 where a class is not labelled and it sees some."""
        centres = boxes[:, 0, :, 1::-1]
        is_inside = is_unlabelled(centres, batch, self.numbers)
        is_seen = tf.sigmoid(tf.reduce_max(logits[:, 0], axis=-1)) > DOUBTED
        return tf.where(is_inside & is_seen, 0.0, 1.0)[:, None]

    def detections(self, features: Features) -> Detections:
        """The best queries for its classes, without suppression.

        Args:
            features: of images.

        Returns:
            The detections of its classes.

        """
        numbers = tf.constant(self.numbers, tf.int32)
        return self._common.best(tf.sigmoid(self._logits(features)), features[2], numbers)
