"""A branch: private parts of a model for one class; and how its detections join the others'."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from classlift.detectors.od_api.api import WeightSharedConvolutionalBoxPredictor
from classlift.detectors.od_api.extractor import neck_regularization


class Branch:
    """A class's own part of a model, cut out of a model of one class: the layers of its head that
    score the class; or its neck and its whole head.

    head: the box predictor; neck: the feature extractor whose neck is the branch's, or None, and
    then the boxes are the common head's, which are of no class.
    rivalry: as in `Detector.rivalry`; 0 until training has chosen.
    auxiliary: a box predictor of all classes; while the branch is trained, its last layers score
    beside the branch's own, so that what comes before them learns to tell all classes apart. Of
    training alone, and None where the recipe has none.
    """

    def __init__(self, model: Any, with_neck: bool) -> None:
        self.head = model._box_predictor
        self.neck = model._feature_extractor if with_neck else None
        self.rivalry = tf.Variable(0.0, trainable=False, name="rivalry")
        self.auxiliary: Any = None
        self._scoring = scoring_layers(self.head)
        self._layers = _distinct(itertools.chain.from_iterable(self._scoring))

    def __call__(self, maps: Sequence[tf.Tensor]) -> tuple[tf.Tensor | None, tf.Tensor]:
        """Box encodings [batch, anchors, 4], or None for the common ones, and scores before the
        sigmoid [batch, anchors, 2], background and class.
        """
        if self.neck is not None:
            return concatenated(self.head(list(maps)))
        return None, _scores(self._towers(maps), self._scoring)

    def with_auxiliary(
        self, maps: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor | None, tf.Tensor, tf.Tensor | None]:
        """The same, and scores [batch, anchors, classes + 1] by the auxiliary layers, if any."""
        if self.auxiliary is None:
            return *self(maps), None
        towers = self._towers(maps)
        boxes = None if self.neck is None else concatenated(self.head(list(maps)))[0]
        others = scoring_layers(self.auxiliary)
        return boxes, _scores(towers, self._scoring), _scores(towers, others)

    def _towers(self, maps: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """What the last layers score, of each map."""
        towers = []
        for found, layers in zip(maps, self._scoring, strict=True):
            for layer in layers[:-1]:
                found = layer(found)
            towers.append(found)
        return towers

    @property
    def parts(self) -> frozenset[str]:
        """What it has of its own (`freeze.BRANCH_PARTS`)."""
        return frozenset({"head", "class-head"} | ({"neck"} if self.neck is not None else set()))

    @property
    def auxiliary_variables(self) -> list[tf.Variable]:
        """The variables of the last layers of `auxiliary`."""
        if self.auxiliary is None:
            return []
        last = _distinct(layers[-1] for layers in scoring_layers(self.auxiliary))
        return [variable for layer in last for variable in layer.variables]

    @property
    def head_variables(self) -> list[tf.Variable]:
        """The variables of its own part of the head, in the order of the layers."""
        return list(self.head.variables) if self.neck is not None else self._scoring_variables()

    def _scoring_variables(self) -> list[tf.Variable]:
        return [variable for layer in self._layers for variable in layer.variables]

    def start_from(self, model: Any, classes: int, number: int) -> None:
        """Takes over the weights of a model of several classes, for the class of that number."""
        for theirs, ours in zip(model._box_predictor.variables, self.head.variables, strict=True):
            if theirs.shape != ours.shape:  # the last axis is anchors x (background and classes)
                by_class = tf.reshape(theirs, [*theirs.shape[:-1], -1, classes + 1])
                wanted = tf.gather(by_class, [0, number], axis=-1)
                ours.assign(tf.reshape(wanted, ours.shape))
            else:
                ours.assign(theirs)
        if self.neck is not None:
            _copy(model._feature_extractor.variables, self.neck.variables)

    def add_auxiliary(self, model: Any, copy: Any) -> None:
        """Adds layers that score all classes, taken from a copy and started from the model's."""
        self.auxiliary = copy._box_predictor
        _copy(model._box_predictor.variables, self.auxiliary.variables)

    def go_on_from(self, known: "Branch") -> None:
        """Takes over what a branch with fewer parts of its own has learned."""
        _copy(known._scoring_variables(), self._scoring_variables())
        self.rivalry.assign(known.rivalry)

    def losses(self) -> list[tf.Tensor]:
        """The losses of the weights alone: the config's regularization."""
        if self.neck is not None:
            return [*self.head.losses, neck_regularization(self.neck)]
        return [loss for layer in self._layers for loss in layer.losses]


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


def scoring_layers(predictor: Any) -> list[list[Any]]:
    """The layers of a box predictor that score the classes, in their order, for each map."""
    kind = "class_predictions_with_background"
    head = predictor._prediction_heads[kind]
    if not isinstance(predictor, WeightSharedConvolutionalBoxPredictor):
        nets = zip(predictor._shared_nets, head, strict=True)
        return [[*net, last] for net, last in nets]
    tower = "box_encodings" if predictor._share_prediction_tower else kind
    towers = predictor._base_tower_layers_for_heads[tower]
    projections = predictor._additional_projection_layers
    return [[*first, *then, head] for first, then in zip(projections, towers, strict=True)]


def concatenated(outputs: Mapping[str, list[tf.Tensor]]) -> tuple[tf.Tensor, tf.Tensor]:
    """Box encodings [batch, anchors, 4] and scores [batch, anchors, classes + 1] of a head."""
    boxes = tf.cast(tf.concat(outputs["box_encodings"], axis=1), tf.float32)
    if boxes.shape.ndims == 4:  # one box for all classes
        boxes = tf.squeeze(boxes, axis=2)
    scores = tf.concat(outputs["class_predictions_with_background"], axis=1)
    return boxes, tf.cast(scores, tf.float32)


RIVAL_IOU = 0.5
"""Overlap from which two detections are of one object, as in matching."""


@dataclass(frozen=True)
class Detections:
    """The objects of a batch, the valid ones first: boxes [batch, n, 4] ymin, xmin, ymax, xmax in
    0..1, classes [batch, n] from 1, scores [batch, n], and how many are valid [batch]; all float32.
    """

    boxes: tf.Tensor
    classes: tf.Tensor
    scores: tf.Tensor
    count: tf.Tensor

    def valid(self) -> tf.Tensor:
        """bool[batch, n]."""
        return tf.range(tf.shape(self.scores)[1]) < tf.cast(self.count, tf.int32)[:, None]

    def others(self, numbers: Sequence[int]) -> tf.Tensor:
        """bool[batch, n], the valid ones that are of none of these classes."""
        taken = tf.reduce_any(self.classes[..., None] == tf.cast(numbers, tf.float32), axis=-1)
        return self.valid() & ~taken

    def discounted(self, rivals: "Detections", number: int, rivalry: tf.Tensor) -> "Detections":
        """With each score times (1 - r) ** rivalry, r being the highest score of a rival that
        overlaps it; rivals of the class of that number are none.
        """
        overlaps = _iou(self.boxes, rivals.boxes) > RIVAL_IOU
        is_rival = rivals.others([number])[:, None] & overlaps
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


def merge(common: Detections, branches: Mapping[int, Detections]) -> Detections:
    """The branches' detections, by the number of their class, and the common ones of all others.

    By falling score, each as it is; then padding: zeros, and class 1 as the OD API has it.
    """
    parts = [common, *branches.values()]
    valid = [common.others(list(branches)), *(branch.valid() for branch in branches.values())]
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


def _iou(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Intersection over union of boxes a [batch, n, 4] and b [batch, m, 4]: [batch, n, m]."""
    low = tf.maximum(a[:, :, None, :2], b[:, None, :, :2])
    high = tf.minimum(a[:, :, None, 2:], b[:, None, :, 2:])
    shared = tf.reduce_prod(tf.maximum(high - low, 0.0), axis=-1)
    areas = [tf.reduce_prod(boxes[..., 2:] - boxes[..., :2], axis=-1) for boxes in (a, b)]
    return tf.math.divide_no_nan(shared, areas[0][:, :, None] + areas[1][:, None] - shared)


def single_class(boxes: tf.Tensor, scores: tf.Tensor, number: int, nms: Any) -> Detections:
    """Non-maximum suppression for one class.

    boxes: [batch, anchors, 4] decoded; scores: [batch, anchors]; nms: the config's
    `batch_non_max_suppression`, whose thresholds and budget of one class hold.
    """
    found = tf.image.combined_non_max_suppression(
        boxes[:, :, None],
        scores[..., None],
        max_output_size_per_class=nms.max_detections_per_class,
        max_total_size=nms.max_detections_per_class,
        iou_threshold=nms.iou_threshold,
        score_threshold=nms.score_threshold,
        clip_boxes=True,
    )
    return Detections(
        found.nmsed_boxes,
        tf.fill(tf.shape(found.nmsed_scores), float(number)),
        found.nmsed_scores,
        tf.cast(found.valid_detections, tf.float32),
    )
