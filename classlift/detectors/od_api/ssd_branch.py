"""A branch of an SSD: private layers for some of its classes."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from classlift.detectors.branching import DOUBTED, NEW_SCORE, is_unlabelled
from classlift.detectors.detections import Detections, suppressed
from classlift.detectors.detector import Batch
from classlift.detectors.freeze import AUXILIARY
from classlift.detectors.od_api.extractor import (
    Maps,
    OwnBackbone,
    Passed,
    Trunk,
    neck_regularization,
    neck_variables,
)
from classlift.detectors.od_api.private import (
    CLASS_SCORES,
    SsdParts,
    fix_batch_norms,
    scoring_layers,
)
from classlift.detectors.od_api.targets import Targets
from classlift.detectors.od_api.zoo_entry import learning_phase, named
from classlift.settings.freeze import first_block

if TYPE_CHECKING:
    from classlift.detectors.od_api.ssd import SsdDetector


class SsdBranch:
    """Cut out of a model of the branch's classes alone: the layers of its head that score them; or
    its neck and its whole head, and before these its backbone from the image on; or those layers of
    the head, its neck, and its backbone from a block on. It starts from the weights of the common
    detector.

    Args:
        numbers: the ids of its classes, which may be above those of the detector; its scores have a
            column for each, in their order, after that of the background where the model has one.
        parts: what it has of its own (`freeze.branch_parts`); without a neck, and from a block on,
            its boxes are the common head's, which are of no class.

    Raises:
        ModelError: the backbone can't be cut there.

    """

    def __init__(
        self, common: "SsdDetector", numbers: Sequence[int], parts: frozenset[str]
    ) -> None:
        self._neck: Any = None
        if "neck" in parts:
            own = SsdParts(common.build(len(numbers)))
            self._head, self._neck = own.predictor, own.extractor
        else:
            self._head = common.build_head(len(numbers))
        self.numbers = tuple(numbers)
        self.rivalry = tf.Variable(0.0, trainable=False, name="rivalry")
        self._common = common
        self._auxiliary: Any = None
        self._scoring = scoring_layers(self._head)
        self._layers = _distinct(itertools.chain.from_iterable(self._scoring))
        self.parts = parts
        block = first_block(parts)
        self._has_boxes = "neck" in parts and not block
        self._backbone = None if block is None else OwnBackbone(self._neck, block)
        self._trunk = Trunk(common.parts.extractor, common.frame, self._neck, self._backbone)
        self._assign = replace(common.assign, classes=len(self.numbers))
        self._start()

    def _start(self) -> None:
        """Takes over the weights of the common detector; of classes that it does not have, the last
        layers start at zero, with the score `NEW_SCORE` everywhere.
        """
        parts, first = self._common.parts, self._common.first
        last = self._common.columns - first
        is_new = [number > last for number in self.numbers]
        known = [1 if new else n for n, new in zip(self.numbers, is_new, strict=True)]
        columns = [*range(first), *(number - 1 + first for number in known)]
        for theirs, ours in zip(parts.predictor.variables, self._head.variables, strict=True):
            if theirs.shape != ours.shape:  # the last axis is anchors x columns
                by_class = tf.reshape(theirs, [*theirs.shape[:-1], -1, self._common.columns])
                ours.assign(tf.reshape(tf.gather(by_class, columns, axis=-1), ours.shape))
            else:
                ours.assign(theirs)
        if self._neck is not None:
            _copy(parts.extractor.variables, self._neck.variables)
        if any(is_new):
            self._start_at_zero([*[False] * first, *is_new])

    def _start_at_zero(self, columns: Sequence[bool]) -> None:
        """Starts columns of the scores at zero, which is in logits the prior of a bias."""
        last = _distinct(layers[-1] for layers in self._scoring)
        for variable in (variable for layer in last for variable in layer.variables):
            if "depthwise" in variable.name:
                continue  # it has no columns
            by_class = tf.reshape(variable, [*variable.shape[:-1], -1, len(columns)])
            is_bias = variable.shape.rank == 1
            start = math.log(NEW_SCORE / (1 - NEW_SCORE)) if is_bias else 0.0
            variable.assign(tf.reshape(tf.where(columns, start, by_class), variable.shape))

    def go_on_from(self, known: "SsdBranch") -> None:
        """Takes over what a branch with fewer parts of its own has learned."""
        ours = self.variables()
        for name, theirs in known.variables().items():
            if name in ours:
                ours[name].assign(theirs)

    def add_auxiliary(self) -> None:
        """Adds layers that score all classes, started from the common head's; while the branch is
        trained, they stand beside its own last ones, so that what comes before learns to tell all
        classes apart.
        """
        self._auxiliary = self._common.build_head()
        _copy(self._common.parts.predictor.variables, self._auxiliary.variables)

    @property
    def taps(self) -> Sequence[int]:
        """The layers of the common backbone that it goes on from, as `Passed` has them."""
        return self._trunk.taps

    @property
    def trunk_variables(self) -> list[tf.Variable]:
        """The variables of its own backbone and neck, if it has any."""
        backbone = [] if self._backbone is None else self._backbone.variables
        return [*backbone, *self._neck_variables()]

    def _neck_variables(self) -> list[tf.Variable]:
        return [] if self._neck is None else neck_variables(self._neck)

    @property
    def head_variables(self) -> list[tf.Variable]:
        """The variables of its own part of the head, in the order of the layers."""
        return list(self._head.variables) if self._has_boxes else self._scoring_variables()

    def _scoring_variables(self) -> list[tf.Variable]:
        return [variable for layer in self._layers for variable in layer.variables]

    def variables(self) -> dict[str, tf.Variable]:
        """All variables by name, in the order in which an image passes them."""
        found = {} if self._backbone is None else named("backbone", self._backbone.variables)
        found |= named("neck", self._neck_variables(), self._neck)
        found |= named("head", self.head_variables, self._head)
        found |= named("head", [self.rivalry])
        if self._auxiliary is not None:
            last = _distinct(layers[-1] for layers in scoring_layers(self._auxiliary))
            variables = [variable for layer in last for variable in layer.variables]
            found |= named(AUXILIARY, variables, self._auxiliary)
        return found

    def freeze(self, names: frozenset[str]) -> None:
        """Fixes the statistics of its batch norms whose variables are among these."""
        variables = self.variables()
        owners = [self._head, *([] if self._neck is None else [self._neck])]
        fix_batch_norms(owners, {variables[name].ref() for name in names})

    @property
    def prefix(self) -> str | None:
        """The last part up to which all is frozen, as `cut` was told."""
        return self._trunk.prefix

    def cut(self, prefix: str | None) -> None:
        """Prepares for features of the parts up to this one, which are frozen."""
        self._trunk.cut(prefix)

    def features(self, images: tf.Tensor) -> Maps:
        """The frozen prefix's feature maps, finest first, those that the rest reads."""
        return self._trunk.features(images)

    def maps(self, features: Maps) -> Maps:
        """What its head is fed with, from the features of its frozen prefix."""
        with learning_phase(False):
            return self._trunk.maps(tf.zeros([]), features)

    def __call__(self, maps: Sequence[tf.Tensor]) -> tuple[tf.Tensor | None, tf.Tensor]:
        """What the branch says, from the maps that it is fed with.

        Args:
            maps: of the neck, finest first.

        Returns:
            Box encodings [batch, anchors, 4], or None for the common ones, and scores before the
            sigmoid [batch, anchors, columns].

        """
        if self._has_boxes:
            return concatenated(self._head(list(maps)))
        return None, _scores(self._towers(maps), self._scoring)

    def _with_auxiliary(
        self, maps: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor | None, tf.Tensor, tf.Tensor | None]:
        """The same, and scores of the common head's columns by the auxiliary layers, if any."""
        if self._auxiliary is None:
            return *self(maps), None
        towers = self._towers(maps)
        boxes = concatenated(self._head(list(maps)))[0] if self._has_boxes else None
        others = scoring_layers(self._auxiliary)
        return boxes, _scores(towers, self._scoring), _scores(towers, others)

    def _towers(self, maps: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """What the last layers score, of each map."""
        towers = []
        for found, layers in zip(maps, self._scoring, strict=True):
            for layer in layers[:-1]:
                found = layer(found)
            towers.append(found)
        return towers

    def losses(self, batch: Batch, features: Maps | None = None) -> Mapping[str, tf.Tensor]:
        """The losses of its classes; all others are background.

        Batch norm keeps the champion's statistics, in the branch too: batches rich in one class
        would shift them.

        Args:
            batch: images of the frame with their boxes.
            features: of the frozen prefix, where they were kept.

        Returns:
            Scalars: `class` and `regularization`; `box` where it has boxes of its own; and
                `auxiliary`
            where that was asked for: the class loss of all classes, with the branch's layers up to
            the last, where objects are. There it costs little, and the background is left to the
            branch's own loss.

        """
        common = self._common
        with learning_phase(False):
            boxes, scores, others = self._with_auxiliary(self._trunk.maps(batch.images, features))
        is_own = batch.labels[..., None] == self.numbers
        labels = tf.reduce_sum(tf.where(is_own, range(1, len(self.numbers) + 1), 0), axis=-1)
        targets = self._assign(batch.boxes, labels, tf.where(labels > 0, batch.weights, 0.0))
        if common.first:  # the gradient of a slice costs as much where it takes all
            scores = scores[..., common.first :]
        targets = self._without_regions(targets, batch, scores)
        wanted = targets.classes[..., 1:]
        found = common.loss(boxes, scores, targets, wanted, self._regularization())
        if others is None:
            return found
        every = common.assign(batch.boxes, tf.maximum(batch.labels, 0), batch.weights)
        at = tf.where(every.box_weights > 0)
        objects = Targets(**{n: tf.gather_nd(v, at)[None] for n, v in vars(every).items()})
        others = tf.gather_nd(others, at)[None]
        found["auxiliary"] = common.loss(None, others, objects, common.wanted(objects))["class"]
        return found

    def _without_regions(self, targets: Targets, batch: Batch, scores: tf.Tensor) -> Targets:
        """Takes no background from where one of its classes is not labelled, and it sees some.

        It may be right.

        Args:
            targets: of each anchor.
            batch: whose regions have labels below 0.
            scores: [batch, anchors, classes], of its classes, before the sigmoid.

        Returns:
            The targets, with a weight of 0 for such anchors.

        """
        anchors, weights = self._assign.anchors, targets.class_weights

        def without() -> tf.Tensor:
            centres = (anchors[:, :2] + anchors[:, 2:]) / 2
            is_inside = is_unlabelled(centres, batch, self.numbers)
            is_seen = tf.sigmoid(tf.reduce_max(scores, axis=-1)) > DOUBTED
            return tf.where(is_inside & is_seen & (targets.box_weights == 0), 0.0, weights)

        found = tf.cond(tf.reduce_any(batch.labels < 0), without, lambda: weights)
        return replace(targets, class_weights=found)

    def _regularization(self) -> list[tf.Tensor]:
        """The losses of the weights alone, as the config has them."""
        layers = [self._head] if self._has_boxes else self._layers
        found = [loss for layer in layers for loss in layer.losses]
        if self._backbone is not None:
            found += self._neck.losses
        elif self._neck is not None:
            found.append(neck_regularization(self._neck))
        return found

    def detections(
        self, images: tf.Tensor, passed: Passed, common_maps: Maps, common_boxes: tf.Tensor
    ) -> Detections:
        """What it finds of its classes, by the config's NMS for each.

        Args:
            images: preprocessed.
            passed: what the common backbone made of them, with its taps.
            common_maps: of the common neck.
            common_boxes: [batch, anchors, 4], encodings of the common head.

        Returns:
            The detections of its classes.

        """
        with learning_phase(False):
            boxes, scores = self(self._trunk.own_maps(images, passed, common_maps))
        decoded = self._common.parts.decode(common_boxes if boxes is None else boxes)
        scores = self._common.parts.convert_scores(scores)[..., self._common.first :]
        return suppressed(decoded[:, :, None], scores, self.numbers, self._common.nms)


def _copy(source: Sequence[tf.Variable], target: Sequence[tf.Variable]) -> None:
    for theirs, ours in zip(source, target, strict=True):
        ours.assign(theirs)


def _distinct(layers: Iterable[Any]) -> list[Any]:
    """Each layer once, in their order: maps share some."""
    return list({id(layer): layer for layer in layers}.values())


def _scores(towers: Sequence[tf.Tensor], scoring: Sequence[Sequence[Any]]) -> tf.Tensor:
    """By the last of the layers that score each map."""
    found = [layers[-1](tower) for tower, layers in zip(towers, scoring, strict=True)]
    return tf.cast(tf.concat(found, axis=1), tf.float32)


def concatenated(outputs: Mapping[str, list[tf.Tensor]]) -> tuple[tf.Tensor, tf.Tensor]:
    """Box encodings [batch, anchors, 4] and scores [batch, anchors, classes + 1] of a head."""
    boxes = tf.cast(tf.concat(outputs["box_encodings"], axis=1), tf.float32)
    if boxes.shape.ndims == 4:  # one box for all classes
        boxes = tf.squeeze(boxes, axis=2)
    scores = tf.concat(outputs[CLASS_SCORES], axis=1)
    return boxes, tf.cast(scores, tf.float32)
