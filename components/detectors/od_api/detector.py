"""A model-zoo entry of the TF Object Detection API (SSD family) as a `Detector`."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf import text_format

from components.dataset.label_map import LabelMap
from components.detectors import od_api
from components.detectors.detector import Batch
from components.detectors.freeze import PARTS
from components.detectors.od_api.branch import Detections, merge, single_class
from components.detectors.od_api.targets import TargetAssigner, Targets
from components.errors import ModelError

od_api.prepare()

from object_detection.builders import model_builder  # noqa: E402
from object_detection.core.freezable_batch_norm import FreezableBatchNorm  # noqa: E402
from object_detection.protos import pipeline_pb2  # noqa: E402

CONFIG, LABEL_MAP, CHECKPOINT = "pipeline.config", "label_map.pbtxt", "checkpoint"
BRANCHES = "branches.json"
"""The note beside the config of a model in which classes have heads of their own."""


class OdApiDetector:
    """A zoo entry: `pipeline.config`, `checkpoint/ckpt-*`, `label_map.pbtxt`, a note of branches.

    Features: SSD meta-architecture with a fixed image size, FPN or plain, any number of classes;
    parts frozen by the object that owns the variables (names gain suffixes in this API).

    Raises ModelError for another meta-architecture, image resizer, matcher or box coder, for a
    label map that does not fit the config, and for a checkpoint that does not fit the model.
    """

    def __init__(self, config: pipeline_pb2.TrainEvalPipelineConfig, label_map: LabelMap) -> None:
        _require_supported(config)
        ssd = config.model.ssd
        if ssd.num_classes != len(label_map):
            raise ModelError(
                f"The model predicts {ssd.num_classes} classes, its label map names "
                f"{len(label_map)}: they must agree."
            )
        self._config = config
        self.label_map = label_map
        resizer = ssd.image_resizer.fixed_shape_resizer
        self.input_size = (resizer.height, resizer.width)
        self._model = self._build()
        self._branches: dict[str, Any] = {}
        self._trained_branch: str | None = None
        matcher, scales = ssd.matcher.argmax_matcher, ssd.box_coder.faster_rcnn_box_coder
        self._assign = TargetAssigner(
            anchors=tf.constant(self._model.anchors.get().numpy()),
            classes=ssd.num_classes,
            matched=matcher.matched_threshold,
            unmatched=matcher.unmatched_threshold,
            force_match=matcher.force_match_for_each_row,
            scales=(scales.y_scale, scales.x_scale, scales.height_scale, scales.width_scale),
        )

    def _build(self) -> Any:
        model = model_builder.build(self._config.model, is_training=True)
        # An eager pass builds the variables and the anchors.
        model.predict(tf.zeros([1, *self.input_size, 3]), self._shapes(1))
        return model

    @classmethod
    def load(cls, folder: Path) -> "OdApiDetector":
        """Loads a zoo entry with its weights."""
        detector = cls(read_config(folder), LabelMap.read(folder / LABEL_MAP))
        checkpoint = tf.train.latest_checkpoint(str(folder / CHECKPOINT))
        if checkpoint is None:
            raise ModelError(f"{folder / CHECKPOINT}: there is no checkpoint (ckpt-0.index, ...).")
        for label in _read_branches(folder, detector.label_map):
            detector._branches[label] = detector._build()._box_predictor
        try:
            status = detector._checkpoint().restore(checkpoint)
            status.expect_partial().assert_existing_objects_matched()
        except (AssertionError, ValueError) as error:  # objects missing, shapes that differ
            raise ModelError(
                f"{checkpoint}: the checkpoint does not fit {folder / CONFIG}; "
                "take both from the same export."
            ) from error
        return detector

    def save(self, folder: Path) -> None:
        """Writes the zoo entry, without an exported SavedModel."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG).write_text(text_format.MessageToString(self._config))
        self.label_map.write(folder / LABEL_MAP)
        (folder / BRANCHES).unlink(missing_ok=True)
        if self._branches:
            (folder / BRANCHES).write_text(json.dumps({"branches": list(self._branches)}))
        shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
        checkpoint = self._checkpoint()
        manager = tf.train.CheckpointManager(checkpoint, str(folder / CHECKPOINT), max_to_keep=1)
        manager.save(checkpoint_number=0)

    def _checkpoint(self) -> tf.train.Checkpoint:
        """The model, and its branches in the order of their note."""
        return tf.train.Checkpoint(model=self._model, branches=list(self._branches.values()))

    def variables(self) -> dict[str, list[tf.Variable]]:
        """As in the protocol; the owner decides, for names gain suffixes in this API."""
        extractor = self._model._feature_extractor
        backbone = list(extractor.classification_backbone.variables)
        owned = {variable.ref() for variable in backbone}
        return {
            "backbone": backbone,
            "neck": [v for v in extractor.variables if v.ref() not in owned],
            "head": list(self._model._box_predictor.variables),
            "branch": [v for branch in self._branches.values() for v in branch.variables],
        }

    def grow_branch(self, label: str) -> None:
        """As in the protocol. Raises ModelError when classes share their scores (softmax)."""
        ssd = self._config.model.ssd
        if "sigmoid" not in ssd.loss.classification_loss.WhichOneof("classification_loss"):
            raise ModelError(
                f"{CONFIG}: the classes share their scores (softmax), so no class can have a head "
                "of its own; choose another freeze policy."
            )
        if label not in self._branches:
            branch = self._build()._box_predictor
            for ours, theirs in zip(
                branch.variables, self._model._box_predictor.variables, strict=True
            ):
                ours.assign(theirs)
            self._branches[label] = branch
        self._trained_branch = label

    def drop_branches(self) -> None:
        """As in the protocol."""
        self._branches.clear()
        self._trained_branch = None

    def freeze(self, parts: frozenset[str]) -> list[tf.Variable]:
        """As in the protocol. Raises ModelError for a part that there isn't."""
        unknown = parts - set(PARTS)
        if unknown:
            raise ModelError(f"There is no part {sorted(unknown)[0]!r}: the parts are {PARTS}.")
        variables = self.variables()
        frozen = {variable.ref() for part in parts for variable in variables[part]}
        branch = self._branches.get(self._trained_branch or "")
        if branch is not None:  # of several, only one is trained
            frozen |= {v.ref() for v in variables["branch"]} - {v.ref() for v in branch.variables}
        owners = (
            self._model._feature_extractor,
            self._model._box_predictor,
            *self._branches.values(),
        )
        for layer in (layer for owner in owners for layer in owner.submodules):
            if isinstance(layer, FreezableBatchNorm):
                layer._training = False if layer.moving_mean.ref() in frozen else None
        return [
            variable
            for part in PARTS
            for variable in variables[part]
            if variable.trainable and variable.ref() not in frozen
        ]

    def features(self, images: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """As in the protocol: the feature maps, finest first."""
        extractor = self._model._feature_extractor
        with _learning_phase(False):
            return tuple(extractor(extractor.preprocess(images)))

    def losses(
        self, batch: Batch, features: tuple[tf.Tensor, ...] | None = None
    ) -> Mapping[str, tf.Tensor]:
        """As in the protocol: `class`, `box` and `regularization`, weighted by the config."""
        model = self._model
        if self._trained_branch is not None:
            maps = self.features(batch.images) if features is None else features
            return self._branch_losses(maps, batch, self._trained_branch)
        with _learning_phase(True):
            if features is None:
                images = model._feature_extractor.preprocess(batch.images)
                features = model._feature_extractor(images)
            boxes, scores = _concatenated(model._box_predictor(list(features)))
        targets = self._assign(batch.boxes, batch.labels, batch.weights)
        return self._losses(boxes, scores, targets, targets.classes, model.regularization_losses())

    def _branch_losses(
        self, maps: Sequence[tf.Tensor], batch: Batch, label: str
    ) -> Mapping[str, tf.Tensor]:
        """Of one class's branch: its column of the scores, and its boxes; all else is background.

        Batch norm keeps the champion's statistics, in the branch too: batches rich in one class
        would shift them.
        """
        number = self.label_map.id_of(label)
        branch = self._branches[label]
        with _learning_phase(False):
            boxes, scores = _concatenated(branch(list(maps)))
        is_target = batch.labels == number
        targets = self._assign(
            batch.boxes,
            tf.where(is_target, batch.labels, 0),
            tf.where(is_target, batch.weights, 0.0),
        )
        column = slice(number, number + 1)
        return self._losses(
            boxes, scores[..., column], targets, targets.classes[..., column], branch.losses
        )

    def _losses(
        self,
        boxes: tf.Tensor,
        scores: tf.Tensor,
        targets: Targets,
        classes: tf.Tensor,
        regularization: Sequence[tf.Tensor],
    ) -> Mapping[str, tf.Tensor]:
        model = self._model
        box_loss = model._localization_loss(
            boxes, targets.boxes, weights=targets.box_weights, ignore_nan_targets=True
        )
        class_loss = model._classification_loss(
            scores,
            classes,
            weights=tf.repeat(targets.class_weights[..., None], classes.shape[-1], axis=-1),
        )
        normalizer = tf.constant(1.0)
        if model._normalize_loss_by_num_matches:
            normalizer = tf.maximum(tf.reduce_sum(targets.box_weights), 1.0)
        box_normalizer = normalizer
        if model._normalize_loc_loss_by_codesize:
            box_normalizer *= model._box_coder.code_size
        return {
            "class": tf.reduce_sum(class_loss) * model._classification_loss_weight / normalizer,
            "box": tf.reduce_sum(box_loss) * model._localization_loss_weight / box_normalizer,
            "regularization": tf.add_n([tf.constant(0.0), *regularization]),
        }

    def detect(self, images: tf.Tensor) -> Mapping[str, tf.Tensor]:
        """As in the protocol; the number of detections is the config's, and that of a class more
        for each branch.
        """
        model = self._model
        resized = tf.image.resize(tf.cast(images, tf.float32), self.input_size)
        # The batch must stay dynamic here: with a static one, NMS is unrolled image by image.
        shapes = self._shapes(tf.shape(resized)[0])
        with _learning_phase(False):
            predictions = model.predict(model._feature_extractor.preprocess(resized), shapes)
            branches = {
                label: _concatenated(branch(predictions["feature_maps"]))
                for label, branch in self._branches.items()
            }
        found = model.postprocess(predictions, shapes)
        common = Detections(
            found["detection_boxes"],
            found["detection_classes"] + 1,  # the OD API's label offset
            found["detection_scores"],
            found["num_detections"],
        )
        if branches:
            numbers = [self.label_map.id_of(label) for label in branches]
            common = merge(
                common.without(numbers),
                [
                    self._branch_detections(*outputs, number)
                    for outputs, number in zip(branches.values(), numbers, strict=True)
                ],
            )
        return common.as_od_api()

    def _branch_detections(self, boxes: tf.Tensor, scores: tf.Tensor, number: int) -> Detections:
        """What a branch finds of its class, by the config's NMS for one class."""
        model = self._model
        decoded, _ = model._batch_decode(boxes, model.anchors.get())
        return single_class(
            decoded,
            model._score_conversion_fn(scores)[..., number],
            number,
            self._config.model.ssd.post_processing.batch_non_max_suppression,
        )

    def _shapes(self, batch: int | tf.Tensor) -> tf.Tensor:
        return tf.tile([[*self.input_size, 3]], [batch, 1])


def _concatenated(outputs: Mapping[str, list[tf.Tensor]]) -> tuple[tf.Tensor, tf.Tensor]:
    """Box encodings [batch, anchors, 4] and scores [batch, anchors, classes + 1] of a head."""
    boxes = tf.concat(outputs["box_encodings"], axis=1)
    if boxes.shape.ndims == 4:  # one box for all classes
        boxes = tf.squeeze(boxes, axis=2)
    return boxes, tf.concat(outputs["class_predictions_with_background"], axis=1)


def _read_branches(folder: Path, label_map: LabelMap) -> list[str]:
    """The classes with a branch, as its note says. Raises ModelError when it is damaged."""
    path = folder / BRANCHES
    if not path.exists():
        return []
    try:
        labels = json.loads(path.read_text())["branches"]
        if not all(label in label_map for label in labels):
            raise KeyError
    except (ValueError, KeyError, TypeError):
        raise ModelError(
            f'{path}: must be {{"branches": [classes of the label map]}}; take it from the same '
            "folder as the checkpoint."
        ) from None
    return list(labels)


def read_config(folder: Path) -> pipeline_pb2.TrainEvalPipelineConfig:
    """Reads `pipeline.config`. Raises ModelError when it is missing or malformed."""
    path = folder / CONFIG
    if not path.is_file():
        raise ModelError(f"{folder}: there is no {CONFIG}; is this a TF OD API zoo entry?")
    try:
        return text_format.Parse(path.read_text(), pipeline_pb2.TrainEvalPipelineConfig())
    except text_format.ParseError as error:
        raise ModelError(f"{path}: not a pipeline config of the OD API ({error}).") from error


def _require_supported(config: pipeline_pb2.TrainEvalPipelineConfig) -> None:
    ssd = config.model.ssd
    for message, field, expected in (
        (config.model, "model", "ssd"),
        (ssd.image_resizer, "image_resizer_oneof", "fixed_shape_resizer"),
        (ssd.matcher, "matcher_oneof", "argmax_matcher"),
        (ssd.box_coder, "box_coder_oneof", "faster_rcnn_box_coder"),
    ):
        found = message.WhichOneof(field)
        if found != expected:
            raise ModelError(
                f"{CONFIG}: {found or 'nothing'} is set where this version of ClassLift can only "
                f"fine-tune {expected}."
            )


@contextmanager
def _learning_phase(training: bool) -> Iterator[None]:
    """Batch norm of legacy Keras follows a global switch: without it, it never updates."""
    backend = tf.keras.backend
    backend.set_learning_phase(training)
    try:
        yield
    finally:
        backend.set_learning_phase(False)
