"""An SSD of the OD API's model zoo: what it learns and says, before any class has a branch."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from classlift.data.label_map import LabelMap
from classlift.detectors.detections import Detections
from classlift.detectors.detector import Batch, ChampionOutputs, over_replicas, share_of_replica
from classlift.detectors.frame import Frame
from classlift.detectors.od_api.api import (
    bfloat16_to_float32_nested,
    model_builder,
    model_pb2,
    pipeline_pb2,
)
from classlift.detectors.od_api.distillation import distillation
from classlift.detectors.od_api.extractor import (
    Maps,
    Trunk,
    backbone_variables,
    cuts,
    neck_variables,
    recorded,
)
from classlift.detectors.od_api.outline import CONFIG
from classlift.detectors.od_api.private import SsdParts, fix_batch_norms, mask_scores
from classlift.detectors.od_api.ssd_branch import SsdBranch, concatenated
from classlift.detectors.od_api.targets import TargetAssigner, Targets
from classlift.detectors.od_api.zoo_entry import ZooEntry, learning_phase, named, require
from classlift.detectors.verifier import pooled
from classlift.errors import ModelError


class SsdDetector(ZooEntry):
    """FPN or plain, any number of classes; parts are cut by the object that owns the variables,
    for names gain suffixes in this API.

    parts: of the OD API's model; assign: gives its anchors their targets; columns: how many its
    scores have; first: the column of the class 1, after that of the background where there is one;
    nms: the config's settings of non-maximum suppression.

    Raises ModelError for another matcher or box coder than the zoo's, and where a class of the
    label map is the background.
    """

    meta_architecture = "ssd"
    can_describe = True
    can_verify = True

    def __init__(self, config: pipeline_pb2.TrainEvalPipelineConfig, label_map: LabelMap) -> None:
        ssd = config.model.ssd
        require(ssd.matcher, "matcher_oneof", "argmax_matcher")
        require(ssd.box_coder, "box_coder_oneof", "faster_rcnn_box_coder")
        if ssd.explicit_background_class:
            raise ModelError(
                f"{CONFIG}: explicit_background_class is set, and a model whose first class is the "
                "background can't be fine-tuned by this version."
            )
        super().__init__(config, label_map)
        self.parts = SsdParts(self.model)
        self.first = int(ssd.add_background_class)
        self.named_columns = self.named_columns[1 - self.first :]
        self.columns = len(self.named_columns)
        if not all(self.named_columns):
            convert = mask_scores(self.named_columns, self.parts.convert_scores)
            self.parts.set_score_conversion(convert)
        self.nms = ssd.post_processing.batch_non_max_suppression
        self._trunk = Trunk(self.parts.extractor, self.frame)
        matcher, scales = ssd.matcher.argmax_matcher, ssd.box_coder.faster_rcnn_box_coder
        anchors = self.model.anchors.get().numpy()
        self.smallest_object = _smallest_object(anchors, self.frame)
        self.assign = TargetAssigner(
            anchors=tf.constant(anchors),
            classes=ssd.num_classes,
            matched=matcher.matched_threshold,
            unmatched=matcher.unmatched_threshold,
            force_match=matcher.force_match_for_each_row,
            scales=(scales.y_scale, scales.x_scale, scales.height_scale, scales.width_scale),
        )

    def build(self, classes: int | None = None) -> Any:
        """The model of the config, perhaps with another number of classes, random weights."""
        model = self._without_variables(classes)
        # An eager pass builds the variables and the anchors.
        answers = model.predict(tf.zeros([1, *self.frame.size, 3]), self.shapes(1))
        self._map_shapes = [found.shape for found in answers["feature_maps"]]
        return model

    def build_head(self, classes: int | None = None) -> Any:
        """The box predictor of `build` alone, which takes a fraction of the time."""
        predictor = SsdParts(self._without_variables(classes)).predictor
        predictor([tf.zeros(shape) for shape in self._map_shapes])
        return predictor

    def _without_variables(self, classes: int | None) -> Any:
        config = model_pb2.DetectionModel()
        config.CopyFrom(self.config.model)
        config.ssd.num_classes = classes or config.ssd.num_classes
        return model_builder.build(config, is_training=True)

    @property
    def can_branch(self) -> bool:
        """Whether classes have scores of their own."""
        return "sigmoid" in self._class_loss_name()

    @property
    def can_branch_neck(self) -> bool:
        """As `can_branch`."""
        return self.can_branch

    @cached_property
    def branch_blocks(self) -> Mapping[int, frozenset[str]]:
        """The blocks of the backbone before which it can be cut, and the layers from each on."""
        return cuts(self.parts.extractor) if self.can_branch else {}

    @property
    def takes_new_classes(self) -> bool:
        """As `can_branch`: each class has a score of its own."""
        return self.can_branch

    def branch_of(self, numbers: Sequence[int], parts: frozenset[str]) -> SsdBranch:
        """A branch beside this detector.

        Args:
            numbers: ids of its classes.
            parts: of `PARTS`, that it has of its own.

        Returns:
            The branch, with the detector's weights.

        Raises:
            ModelError: classes share their scores (softmax), or the backbone can't be cut where the
                branch begins.

        """
        if not self.can_branch:
            raise ModelError(
                f"{CONFIG}: the classes share their scores (softmax), so no class can have a head "
                "of its own; choose another freeze policy."
            )
        return SsdBranch(self, numbers, parts)

    def variables(self) -> dict[str, tf.Variable]:
        """All variables by name; the owner decides, for names gain suffixes in this API."""
        extractor, predictor = self.parts.extractor, self.parts.predictor
        return {
            **named("backbone", backbone_variables(extractor)),
            **named("neck", neck_variables(extractor), extractor),
            **named("head", predictor.variables, predictor),
        }

    def set_focal(self, gamma: float | None, alpha: float | None) -> None:
        """Replaces the parameters of the focal loss; None for the model's own."""
        if gamma is None and alpha is None:
            self.parts.reset_class_loss()
            return
        if self._class_loss_name() != "weighted_sigmoid_focal":
            raise ModelError(
                f"{CONFIG}: the class loss is {self._class_loss_name()}, which has no focal "
                "parameters; leave focal_gamma and focal_alpha out."
            )
        own = self._settings.loss.classification_loss.weighted_sigmoid_focal
        self.parts.set_focal_loss(
            gamma=own.gamma if gamma is None else gamma,
            alpha=own.alpha if alpha is None else alpha,
        )

    def _class_loss_name(self) -> str:
        loss = self._settings.loss.classification_loss
        return str(loss.WhichOneof("classification_loss"))

    def freeze(self, names: frozenset[str]) -> None:
        """Fixes the statistics of the batch norms whose variables are among these."""
        variables = self.variables()
        frozen = {variables[name].ref() for name in names}
        fix_batch_norms([self.parts.extractor, self.parts.predictor], frozen)

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

    def neck_maps(self, branch: SsdBranch, features: Maps) -> Maps:
        """What a branch's head is fed with, from the features of its frozen prefix."""
        return branch.maps(features)

    def describe(self, images: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
        """Features of boxes: the neck's maps within each box, on a grid of two by two."""
        with learning_phase(False):
            maps = self._trunk.maps(images)
        return pooled(maps, boxes)

    def outputs(
        self, images: tf.Tensor, features: Maps | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """What the head says.

        Args:
            images: [batch, height, width, 3], of the frame.
            features: of the frozen prefix, where they were kept.

        Returns:
            Box encodings [batch, anchors, 4], and scores before the sigmoid [batch, anchors,
            columns].

        """
        with learning_phase(False):
            return concatenated(self.parts.predictor(list(self._trunk.maps(images, features))))

    def losses(
        self,
        batch: Batch,
        features: Maps | None = None,
        champion_outputs: ChampionOutputs | None = None,
    ) -> Mapping[str, tf.Tensor]:
        """The training losses `class`, `box`, `regularization`, `distillation`."""
        with learning_phase(True):
            maps = self._trunk.maps(batch.images, features)
            boxes, scores = concatenated(self.parts.predictor(list(maps)))
        targets = self.assign(batch.boxes, batch.labels, batch.weights)
        found = self.loss(
            boxes, scores, targets, self.wanted(targets), self.model.regularization_losses()
        )
        if champion_outputs is not None:
            unnamed = set(range(1, self.assign.classes + 1)) - set(self.label_map.ids)
            champion_outputs = replace(champion_outputs, free=champion_outputs.free | unnamed)
            found["distillation"] = distillation(boxes, scores, champion_outputs, self.first)
        return found

    def wanted(self, targets: Targets) -> tf.Tensor:
        """What the columns of the scores should be [batch, anchors, columns]."""
        return targets.classes[..., 1 - self.first :]

    def loss(
        self,
        boxes: tf.Tensor | None,
        scores: tf.Tensor,
        targets: Targets,
        classes: tf.Tensor,
        regularization: Sequence[tf.Tensor] = (),
    ) -> dict[str, tf.Tensor]:
        """The losses of answers.

        They are normalised by the matches of the whole batch, whatever part of it this replica has.

        Args:
            boxes: [batch, anchors, 4], encoded; None where they are not trained.
            scores: [batch, anchors, columns], all columns of the head or others of a branch.
            targets: of each anchor.
            classes: as `scores`, what they should be.
            regularization: losses of weights, which are added up.

        Returns:
            Scalars: `class`, `regularization`, and `box` where there are boxes.

        """
        parts = self.parts
        weights = tf.repeat(targets.class_weights[..., None], classes.shape[-1], axis=-1)
        if classes.shape[-1] == self.columns and self.can_branch:
            weights *= tf.constant(self.named_columns, weights.dtype)  # a softmax has one weight
        normalizer = tf.constant(1.0)
        if parts.normalizes_by_matches:
            normalizer = tf.maximum(over_replicas(tf.reduce_sum(targets.box_weights)), 1.0)
        found = {
            "class": parts.class_loss(scores, classes, weights) / normalizer,
            "regularization": share_of_replica(tf.add_n([tf.constant(0.0), *regularization])),
        }
        if boxes is not None:
            box_loss = parts.box_loss(boxes, targets.boxes, targets.box_weights)
            found["box"] = box_loss / (normalizer * parts.box_normalizer)
        return found

    def detect_with(
        self, images: tf.Tensor, branches: Sequence[SsdBranch]
    ) -> tuple[Detections, list[Detections], Maps]:
        """Its own detections, and those of branches, from one pass of the backbone.

        Args:
            images: [batch, height, width, 3], of the frame.
            branches: beside it.

        Returns:
            Its own, as many as the config says, each branch's, and the maps of its neck.

        """
        # The batch must stay dynamic here: with a static one, NMS is unrolled image by image.
        shapes = self.shapes(tf.shape(images)[0])
        extractor = self.parts.extractor
        taps = sorted({tap for branch in branches for tap in branch.taps})
        with learning_phase(False):
            preprocessed = extractor.preprocess(images)
            with recorded(extractor, taps) as passed:
                answers = bfloat16_to_float32_nested(self.model.predict(preprocessed, shapes))
        maps, boxes = answers["feature_maps"], answers["box_encodings"]
        own = [b.detections(preprocessed, passed[0], maps, boxes) for b in branches]
        return Detections.of_od_api(self.model.postprocess(answers, shapes)), own, tuple(maps)


def _smallest_object(anchors: np.ndarray, frame: Frame) -> float:
    """The smallest object that an anchor overlaps by half.

    A square of side s in an anchor of area a overlaps it by s^2 / a.

    Args:
        anchors: [anchors, 4], ymin, xmin, ymax, xmax in 0..1.
        frame: that they are shares of.

    Returns:
        Its side in pixels of the frame.

    """
    ymin, xmin, ymax, xmax = anchors.T
    areas = (ymax - ymin) * (xmax - xmin) * frame.height * frame.width
    return float(np.sqrt(0.5 * areas.min()))
