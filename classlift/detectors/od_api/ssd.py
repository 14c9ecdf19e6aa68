"""A detector of the SSD family of the OD API's model zoo as a `Detector`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import tensorflow as tf

from classlift.data.label_map import LabelMap
from classlift.detectors.detector import Batch, ChampionOutputs, over_replicas, share_of_replica
from classlift.detectors.frame import Frame
from classlift.detectors.freeze import AUXILIARY, frozen_prefix
from classlift.detectors.od_api.api import (
    bfloat16_to_float32_nested,
    losses,
    model_builder,
    model_pb2,
    pipeline_pb2,
)
from classlift.detectors.od_api.branch import Branch, Detections, concatenated, merge, single_class
from classlift.detectors.od_api.distillation import distillation
from classlift.detectors.od_api.extractor import (
    backbone_variables,
    neck_variables,
    recorded,
    run_backbone,
    run_neck,
    used_by_neck,
)
from classlift.detectors.od_api.outline import CONFIG
from classlift.detectors.od_api.targets import TargetAssigner, Targets
from classlift.detectors.od_api.zoo_entry import (
    ZooEntry,
    freeze_batch_norm,
    learning_phase,
    named,
    read_branches,
    require,
)
from classlift.errors import ModelError


class SsdDetector(ZooEntry):
    """FPN or plain, any number of classes; parts are cut by the object that owns the variables,
    for names gain suffixes in this API.

    Raises ModelError for another matcher or box coder than the zoo's.
    """

    meta_architecture = "ssd"
    can_describe = True

    def __init__(self, config: pipeline_pb2.TrainEvalPipelineConfig, label_map: LabelMap) -> None:
        ssd = config.model.ssd
        require(ssd.matcher, "matcher_oneof", "argmax_matcher")
        require(ssd.box_coder, "box_coder_oneof", "faster_rcnn_box_coder")
        super().__init__(config, label_map)
        self._class_loss = self._model._classification_loss
        self._convert = self._model._score_conversion_fn
        if not all(self.named_columns):
            self._model._score_conversion_fn = lambda scores: self._of_named(self._convert(scores))
        self._branches: dict[str, Branch] = {}
        self._trained: str | None = None
        self.prefix: str | None = None
        self._used_maps: list[bool] = []
        matcher, scales = ssd.matcher.argmax_matcher, ssd.box_coder.faster_rcnn_box_coder
        anchors = self._model.anchors.get().numpy()
        self.smallest_object = _smallest_object(anchors, self.frame)
        self._assign = TargetAssigner(
            anchors=tf.constant(anchors),
            classes=ssd.num_classes,
            matched=matcher.matched_threshold,
            unmatched=matcher.unmatched_threshold,
            force_match=matcher.force_match_for_each_row,
            scales=(scales.y_scale, scales.x_scale, scales.height_scale, scales.width_scale),
        )

    def _build(self, classes: int | None = None) -> Any:
        """The model of the config, perhaps with another number of classes."""
        config = model_pb2.DetectionModel()
        config.CopyFrom(self._config.model)
        config.ssd.num_classes = classes or config.ssd.num_classes
        model = model_builder.build(config, is_training=True)
        # An eager pass builds the variables and the anchors.
        model.predict(tf.zeros([1, *self.frame.size, 3]), self._shapes(1))
        return model

    def _read_note(self, folder: Path) -> None:
        for label, parts in read_branches(folder, self.label_map).items():
            self._branches[label] = Branch(self._build(classes=1), "neck" in parts)

    def _note(self) -> dict[str, Any]:
        note = {label: sorted(branch.parts) for label, branch in self._branches.items()}
        return {"branches": note} if note else {}

    def _checkpoint(self) -> tf.train.Checkpoint:
        """The model, and its branches in the order of their note."""
        branches = list(self._branches.values())
        return tf.train.Checkpoint(
            model=self._model,
            branches=[branch.head_variables for branch in branches],
            branch_necks=[
                neck_variables(branch.neck) if branch.neck else [] for branch in branches
            ],
            branch_rivalries=[branch.rivalry for branch in branches],
        )

    @property
    def can_branch(self) -> bool:
        """Whether a class can have a head of its own."""
        return "sigmoid" in self._class_loss_name()

    @property
    def branch(self) -> str | None:
        """The prefix of the names of the branch that training means."""
        return None if self._trained is None else f"branch/{quote(self._trained, safe=' ')}"

    def variables(self) -> dict[str, tf.Variable]:
        """All variables by name; the owner decides, for names gain suffixes in this API."""
        extractor = self._model._feature_extractor
        found = {
            **named("backbone", backbone_variables(extractor)),
            **named("neck", neck_variables(extractor), extractor),
            **named("head", self._model._box_predictor.variables, self._model._box_predictor),
        }
        for label, branch in self._branches.items():
            prefix = f"branch/{quote(label, safe=' ')}/"
            if branch.neck is not None:
                found |= named(f"{prefix}neck", neck_variables(branch.neck), branch.neck)
            found |= named(f"{prefix}head", branch.head_variables, branch.head)
            found |= named(f"{prefix}head", [branch.rivalry])
            found |= named(f"{prefix}{AUXILIARY}", branch.auxiliary_variables, branch.auxiliary)
        return found

    def grow_branch(self, label: str, parts: frozenset[str], auxiliary: bool = False) -> None:
        """Gives a class a head of its own. Raises ModelError when classes share their scores
        (softmax).
        """
        if not self.can_branch:
            raise ModelError(
                f"{CONFIG}: the classes share their scores (softmax), so no class can have a head "
                "of its own; choose another freeze policy."
            )
        known = self._branches.get(label)
        if known is None or not parts <= known.parts:
            branch = Branch(self._build(classes=1), "neck" in parts)
            branch.start_from(self._model, self._settings.num_classes, self.label_map.id_of(label))
            if known is not None:
                branch.go_on_from(known)
            self._branches[label] = branch
        if auxiliary:
            self._branches[label].add_auxiliary(self._model, self._build())
        self._trained = label

    def drop_branches(self) -> None:
        """Takes all branches away."""
        self._branches.clear()
        self._trained = None

    @property
    def rivalry(self) -> tf.Variable | None:
        """How much a detection of another class speaks against the branch's."""
        return None if self._trained is None else self._branches[self._trained].rivalry

    def branches(self) -> tuple[str, ...]:
        """The classes with a branch."""
        return tuple(self._branches)

    def set_focal(self, gamma: float | None, alpha: float | None) -> None:
        """Replaces the parameters of the focal loss; None for the model's own."""
        if gamma is None and alpha is None:
            self._model._classification_loss = self._class_loss
            return
        if self._class_loss_name() != "weighted_sigmoid_focal":
            raise ModelError(
                f"{CONFIG}: the class loss is {self._class_loss_name()}, which has no focal "
                "parameters; leave focal_gamma and focal_alpha out."
            )
        own = self._config.model.ssd.loss.classification_loss.weighted_sigmoid_focal
        self._model._classification_loss = losses.SigmoidFocalClassificationLoss(
            gamma=own.gamma if gamma is None else gamma,
            alpha=own.alpha if alpha is None else alpha,
        )

    def _class_loss_name(self) -> str:
        loss = self._config.model.ssd.loss.classification_loss
        return str(loss.WhichOneof("classification_loss"))

    def freeze(self, names: frozenset[str]) -> dict[str, tf.Variable]:
        """Freezes variables, by name. Raises ModelError for a name that there isn't."""
        variables = self.variables()
        unknown = names - set(variables)
        if unknown:
            raise ModelError(f"There is no variable {min(unknown)!r} to freeze.")
        frozen = {variables[name].ref() for name in names}
        owners = [self._model._feature_extractor, self._model._box_predictor]
        for branch in self._branches.values():
            owners += [branch.head, *([] if branch.neck is None else [branch.neck])]
        freeze_batch_norm(owners, frozen)
        self.prefix = frozen_prefix(list(variables), names, self.branch)
        if self.prefix == "backbone":
            extractor, image = self._model._feature_extractor, tf.zeros([1, *self.frame.size, 3])
            self._used_maps = used_by_neck(extractor, image, run_backbone(extractor, image))
        return {
            name: variable
            for name, variable in variables.items()
            if variable.trainable and name not in names
        }

    def features(self, images: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The frozen prefix's feature maps, finest first, those that the rest of the model reads.

        Raises ModelError when no part from the image on is frozen.
        """
        if self.prefix is None:
            raise ModelError("The backbone is to be trained: it has no features to keep.")
        extractor = self._model._feature_extractor
        with learning_phase(False):
            preprocessed = extractor.preprocess(images)
            maps = run_backbone(extractor, preprocessed)
            if self.prefix == "backbone":
                return tuple(m for m, used in zip(maps, self._used_maps, strict=True) if used)
            return run_neck(self._neck_to_train(), preprocessed, maps)

    def _neck_to_train(self) -> Any:
        """The extractor whose neck stands before the head to train."""
        branch = self._branches.get(self._trained or "")
        neck = None if branch is None else branch.neck
        return self._model._feature_extractor if neck is None else neck

    def _maps(self, images: tf.Tensor, features: Sequence[tf.Tensor] | None) -> Sequence[tf.Tensor]:
        """What the head to train is fed with, from features where there are some."""
        extractor = self._model._feature_extractor
        if features is not None and self.prefix == "neck":
            return features
        if features is None:
            preprocessed = extractor.preprocess(images)
            maps = run_backbone(extractor, preprocessed)
        else:
            given = iter(features)
            maps = tuple(next(given) if used else tf.zeros([]) for used in self._used_maps)
            preprocessed = tf.zeros([tf.shape(features[0])[0], *self.frame.size, 3])
        return run_neck(self._neck_to_train(), preprocessed, maps)

    def describe(self, images: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
        """Features of boxes: the neck's maps within each box, on a grid of two by two."""
        extractor = self._model._feature_extractor
        with learning_phase(False):
            preprocessed = extractor.preprocess(images)
            maps = run_neck(extractor, preprocessed, run_backbone(extractor, preprocessed))
        batch, count = tf.shape(boxes)[0], tf.shape(boxes)[1]
        flat, owners = tf.reshape(boxes, [-1, 4]), tf.repeat(tf.range(batch), count)
        pooled = []
        for feature_map in maps:
            crops = tf.image.crop_and_resize(feature_map, flat, owners, [4, 4])
            cells = tf.nn.avg_pool2d(crops, 2, 2, "VALID")
            pooled.append(tf.reshape(cells, [batch, count, 4 * feature_map.shape[-1]]))
        return tf.concat(pooled, axis=-1)

    def outputs(
        self, images: tf.Tensor, features: tuple[tf.Tensor, ...] | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """What the common head says: box encodings [batch, anchors, 4] and scores before the
        sigmoid [batch, anchors, classes + 1].
        """
        with learning_phase(False):
            return concatenated(self._model._box_predictor(list(self._maps(images, features))))

    def losses(
        self,
        batch: Batch,
        features: tuple[tf.Tensor, ...] | None = None,
        champion_outputs: ChampionOutputs | None = None,
    ) -> Mapping[str, tf.Tensor]:
        """The training losses `class`, `box`, `regularization`, `distillation`; of a branch
        `auxiliary` where that was asked for, and no `box` where it has no boxes of its own.
        """
        if self._trained is not None:
            return self._branch_losses(batch, features, self._trained)
        with learning_phase(True):
            maps = self._maps(batch.images, features)
            boxes, scores = concatenated(self._model._box_predictor(list(maps)))
        targets = self._assign(batch.boxes, batch.labels, batch.weights)
        found = self._losses(
            boxes, scores, targets, targets.classes, self._model.regularization_losses()
        )
        if champion_outputs is not None:
            unnamed = {i for i, is_named in enumerate(self.named_columns) if not is_named}
            champion_outputs = replace(champion_outputs, free=champion_outputs.free | unnamed)
            found["distillation"] = distillation(boxes, scores, champion_outputs)
        return found

    def _branch_losses(
        self, batch: Batch, features: tuple[tf.Tensor, ...] | None, label: str
    ) -> Mapping[str, tf.Tensor]:
        """What one class's branch says: its scores, and its boxes if it has any; all else is
        background.

        `auxiliary` is the class loss of all classes, with the branch's layers up to the last, where
        objects are: there it costs little, and the background is left to the branch's own loss.

        Batch norm keeps the champion's statistics, in the branch too: batches rich in one class
        would shift them.
        """
        number = self.label_map.id_of(label)
        branch = self._branches[label]
        with learning_phase(False):
            boxes, scores, others = branch.with_auxiliary(self._maps(batch.images, features))
        is_target = batch.labels == number
        targets = self._assign(
            batch.boxes,
            tf.where(is_target, batch.labels, 0),
            tf.where(is_target, batch.weights, 0.0),
        )
        found = self._losses(
            boxes,
            scores[..., 1:],
            targets,
            targets.classes[..., number : number + 1],
            branch.losses(),
        )
        if others is None:
            return found
        every = self._assign(batch.boxes, batch.labels, batch.weights)
        at = tf.where(every.box_weights > 0)
        objects = Targets(**{n: tf.gather_nd(v, at)[None] for n, v in vars(every).items()})
        others = tf.gather_nd(others, at)[None]
        found["auxiliary"] = self._losses(None, others, objects, objects.classes, [])["class"]
        return found

    def _losses(
        self,
        boxes: tf.Tensor | None,
        scores: tf.Tensor,
        targets: Targets,
        classes: tf.Tensor,
        regularization: Sequence[tf.Tensor],
    ) -> dict[str, tf.Tensor]:
        """Normalised by the matches of the whole batch, whatever part of it this replica has."""
        model = self._model
        weights = tf.repeat(targets.class_weights[..., None], classes.shape[-1], axis=-1)
        if classes.shape[-1] > 1 and self.can_branch and not all(self.named_columns):
            weights = self._of_named(weights)  # of a softmax, all columns share one weight
        class_loss = model._classification_loss(scores, classes, weights=weights)
        normalizer = tf.constant(1.0)
        if model._normalize_loss_by_num_matches:
            normalizer = tf.maximum(over_replicas(tf.reduce_sum(targets.box_weights)), 1.0)
        found = {
            "class": tf.reduce_sum(class_loss) * model._classification_loss_weight / normalizer,
            "regularization": share_of_replica(tf.add_n([tf.constant(0.0), *regularization])),
        }
        if boxes is not None:
            box_loss = model._localization_loss(
                boxes, targets.boxes, weights=targets.box_weights, ignore_nan_targets=True
            )
            if model._normalize_loc_loss_by_codesize:
                normalizer *= model._box_coder.code_size
            found["box"] = tf.reduce_sum(box_loss) * model._localization_loss_weight / normalizer
        return found

    def detect(self, images: tf.Tensor) -> Mapping[str, tf.Tensor]:
        """The detections in images of the frame; the number of detections is the config's, and that
        of a class more for each branch.
        """
        model = self._model
        # The batch must stay dynamic here: with a static one, NMS is unrolled image by image.
        shapes = self._shapes(tf.shape(images)[0])
        extractor = model._feature_extractor
        with learning_phase(False):
            preprocessed = extractor.preprocess(images)
            with recorded(extractor) as backbone_maps:
                predictions = bfloat16_to_float32_nested(model.predict(preprocessed, shapes))
            branches = {}
            for label, branch in self._branches.items():
                maps = predictions["feature_maps"]
                if branch.neck is not None:
                    maps = run_neck(branch.neck, preprocessed, backbone_maps[0])
                boxes, scores = branch(maps)
                branches[label] = (predictions["box_encodings"] if boxes is None else boxes, scores)
        found = model.postprocess(predictions, shapes)
        common = Detections(
            found["detection_boxes"],
            found["detection_classes"] + 1,  # the OD API's label offset
            found["detection_scores"],
            found["num_detections"],
        )
        if branches:
            answers = {}
            for label, outputs in branches.items():
                number, rivalry = self.label_map.id_of(label), self._branches[label].rivalry
                # Rivals are the common head's, so that no branch has a say in another.
                answers[number] = self._branch_detections(*outputs, number).discounted(
                    common, number, rivalry
                )
            common = merge(common, answers)
        return common.as_od_api()

    def _branch_detections(self, boxes: tf.Tensor, scores: tf.Tensor, number: int) -> Detections:
        """What a branch finds of its class, by the config's NMS for one class."""
        model = self._model
        decoded, _ = model._batch_decode(boxes, model.anchors.get())
        return single_class(
            decoded,
            self._convert(scores)[..., 1],
            number,
            self._config.model.ssd.post_processing.batch_non_max_suppression,
        )


def _smallest_object(anchors: np.ndarray, frame: Frame) -> float:
    """The side of the smallest object that an anchor overlaps by half: a square of side s in an
    anchor of area a overlaps it by s^2 / a.

    anchors: [anchors, 4], ymin, xmin, ymax, xmax in 0..1.
    """
    ymin, xmin, ymax, xmax = anchors.T
    areas = (ymax - ymin) * (xmax - xmin) * frame.height * frame.width
    return float(np.sqrt(0.5 * areas.min()))
