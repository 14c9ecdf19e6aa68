"""A branch of a CenterNet: heat maps of their own for some of its classes."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from classlift.detectors.branching import DOUBTED, NEW_SCORE, is_unlabelled
from classlift.detectors.detections import Detections, suppressed
from classlift.detectors.detector import Batch
from classlift.detectors.freeze import AUXILIARY
from classlift.detectors.od_api.centers import Centers
from classlift.detectors.od_api.extractor import Maps
from classlift.detectors.od_api.private import CENTER
from classlift.detectors.od_api.zoo_entry import learning_phase, named, numbered

if TYPE_CHECKING:
    from classlift.detectors.od_api.center_net import CenterNetDetector


class CenterNetBranch:
    """Says where objects of its classes have their centres, from the map of the last heads, with
    layers that start from the common ones. Sizes and offsets are of no class, and the common ones.

    Args:
        numbers: the ids of its classes, which may be above those of the detector; its heat maps
            have a column for each, in their order.

    """

    parts = frozenset({"head", "class-head"})

    def __init__(self, common: "CenterNetDetector", numbers: Sequence[int]) -> None:
        theirs = common.model.prediction_head_dict[CENTER][-1]
        self.numbers = tuple(numbers)
        self.rivalry = tf.Variable(0.0, trainable=False, name="rivalry")
        self.prefix: str | None = None
        self._common = common
        self._head = common.parts.center_head(len(self.numbers), theirs.input_shape[-1])
        self._auxiliary: Any = None
        for source, target in zip(theirs.layers[:-1], self._head.layers[:-1], strict=True):
            _copy(source.variables, target.variables)
        self._start(theirs.layers[-1])

    def _start(self, theirs: Any) -> None:
        """Takes over what scores its classes; those that the model does not have start at zero,
        with the score `NEW_SCORE` everywhere.
        """
        last = len(self._common.named_columns)
        is_new = [number > last for number in self.numbers]
        columns = [0 if new else n - 1 for n, new in zip(self.numbers, is_new, strict=True)]
        for common, own in zip(theirs.variables, self._head.layers[-1].variables, strict=True):
            is_bias = own.shape.rank == 1
            start = math.log(NEW_SCORE / (1 - NEW_SCORE)) if is_bias else 0.0
            own.assign(tf.where(is_new, start, tf.gather(common, columns, axis=-1)))

    def go_on_from(self, known: "CenterNetBranch") -> None:
        """Takes over what another branch has learned."""
        _copy(known.head_variables, self.head_variables)
        self.rivalry.assign(known.rivalry)

    def add_auxiliary(self) -> None:
        """Adds a layer that scores all classes, started from the common head's; while the branch is
        trained, it stands beside its own last one.
        """
        theirs = self._common.model.prediction_head_dict[CENTER][-1].layers[-1]
        self._auxiliary = tf.keras.layers.Conv2D(theirs.filters, theirs.kernel_size)
        self._auxiliary.build(theirs.input_shape)
        _copy(theirs.variables, self._auxiliary.variables)

    @property
    def trunk_variables(self) -> list[tf.Variable]:
        """None: its maps are the common ones."""
        return []

    @property
    def head_variables(self) -> list[tf.Variable]:
        """The variables of its layers, in their order."""
        return [variable for layer in self._head.layers for variable in layer.variables]

    def variables(self) -> dict[str, tf.Variable]:
        """All variables by name, in the order in which an image passes them."""
        *tower, last = self._head.layers
        found = numbered("head", (v for layer in tower for v in layer.variables))
        found |= numbered("class-head", last.variables)
        found |= named("head", [self.rivalry])
        if self._auxiliary is not None:
            found |= numbered(AUXILIARY, self._auxiliary.variables)
        return found

    def freeze(self, names: frozenset[str]) -> None:
        """Does nothing: it has no batch norms."""

    def cut(self, prefix: str | None) -> None:
        """Prepares for features of the neck; those of the backbone alone can't be kept."""
        self.prefix = prefix if prefix == "neck" else None

    def features(self, images: tf.Tensor) -> Maps:
        """The map that it is fed with."""
        with learning_phase(False):
            return self._common.maps(images)[-1:]

    def _tower(self, feature_map: tf.Tensor) -> tf.Tensor:
        """What the last layer scores."""
        for layer in self._head.layers[:-1]:
            feature_map = layer(feature_map)
        return feature_map

    def losses(self, batch: Batch, features: Maps | None = None) -> Mapping[str, tf.Tensor]:
        """The losses of its classes; all others are background.

        Args:
            batch: images of the frame with their boxes.
            features: of the frozen prefix, where they were kept.

        Returns:
            Scalars: `class` and `regularization`; and `auxiliary` where that was asked for: the
            class loss of all classes at the centres of objects.

        """
        common = self._common
        (feature_map,) = self.features(batch.images) if features is None else features
        tower = self._tower(feature_map)
        scores = self._head.layers[-1](tower)
        is_own = batch.labels[..., None] == self.numbers
        labels = tf.reduce_sum(tf.where(is_own, range(1, len(self.numbers) + 1), 0), axis=-1)
        centers = common.centers(batch, labels, len(self.numbers))
        weights = self._without_regions(centers, batch, scores)
        loss = common.parts.class_loss(scores, centers.heat, weights)
        found = {"class": common.normalized(loss, centers), "regularization": tf.constant(0.0)}
        if self._auxiliary is not None:
            every = common.centers(batch, tf.cast(batch.labels > 0, tf.int32), 1)
            others = self._auxiliary(every.at(tower)[:, :, None])
            classes = len(common.named_columns)
            wanted = tf.one_hot(batch.labels - 1, classes)[:, :, None]
            weights = every.box_weights[..., None, None] * tf.constant(
                common.named_columns, tf.float32
            )
            loss = common.parts.class_loss(others, wanted, weights)
            found["auxiliary"] = common.normalized(loss, every)
        return found

    def _without_regions(self, centers: Centers, batch: Batch, scores: tf.Tensor) -> tf.Tensor:
        """The weights of the cells, 0 where one of its classes is not labelled and it sees some."""
        rows, columns = self._common.cells

        def without() -> tf.Tensor:
            down = (tf.range(rows, dtype=tf.float32) + 0.5) / rows
            across = (tf.range(columns, dtype=tf.float32) + 0.5) / columns
            points = tf.stack(tf.meshgrid(down, across, indexing="ij"), axis=-1)
            is_inside = is_unlabelled(tf.reshape(points, [-1, 2]), batch, self.numbers)
            is_inside = tf.reshape(is_inside, [-1, rows, columns, 1])
            is_seen = tf.sigmoid(scores) > DOUBTED
            return tf.where(is_inside & is_seen & (centers.heat < 1), 0.0, centers.weights)

        return tf.cond(tf.reduce_any(batch.labels < 0), without, lambda: centers.weights)

    def detections(self, answers: Mapping[str, Sequence[tf.Tensor]]) -> Detections:
        """What it finds of its classes: the peaks of its heat maps, with the common boxes there.

        Args:
            answers: of the common detector.

        Returns:
            The detections of its classes.

        """
        common, count = self._common, len(self.numbers)
        heat = tf.sigmoid(tf.cast(self._head(answers["extracted_features"][-1]), tf.float32))
        scores, rows, columns, classes = common.parts.peaks(heat, common.parts.budget * count)
        boxes = common.boxes_at(rows, columns, answers)
        if common.nms is not None:
            by_class = tf.one_hot(classes, count) * scores[..., None]
            return suppressed(boxes[:, :, None], by_class, self.numbers, common.nms)
        valid = tf.reduce_sum(tf.cast(scores > 0, tf.float32), axis=1)
        return Detections(
            boxes, tf.gather(tf.cast(self.numbers, tf.float32), classes), scores, valid
        )


def _copy(source: Sequence[tf.Variable], target: Sequence[tf.Variable]) -> None:
    for theirs, ours in zip(source, target, strict=True):
        ours.assign(theirs)
