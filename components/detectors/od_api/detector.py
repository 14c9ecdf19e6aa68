"""A model-zoo entry of the TF Object Detection API (SSD family) as a `Detector`."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf
from google.protobuf import text_format

from components.dataset.label_map import LabelMap
from components.detectors import od_api
from components.detectors.detector import PARTS, Batch
from components.detectors.od_api.targets import TargetAssigner
from components.errors import ModelError

od_api.prepare()

from object_detection.builders import model_builder  # noqa: E402
from object_detection.core.freezable_batch_norm import FreezableBatchNorm  # noqa: E402
from object_detection.protos import pipeline_pb2  # noqa: E402

CONFIG, LABEL_MAP, CHECKPOINT = "pipeline.config", "label_map.pbtxt", "checkpoint"


class OdApiDetector:
    """A zoo entry: `pipeline.config`, `checkpoint/ckpt-*`, `label_map.pbtxt`.

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
        self._model = model_builder.build(config.model, is_training=True)
        # An eager pass builds the variables and the anchors.
        self._model.predict(tf.zeros([1, *self.input_size, 3]), self._shapes(1))
        matcher, scales = ssd.matcher.argmax_matcher, ssd.box_coder.faster_rcnn_box_coder
        self._assign = TargetAssigner(
            anchors=tf.constant(self._model.anchors.get().numpy()),
            classes=ssd.num_classes,
            matched=matcher.matched_threshold,
            unmatched=matcher.unmatched_threshold,
            force_match=matcher.force_match_for_each_row,
            scales=(scales.y_scale, scales.x_scale, scales.height_scale, scales.width_scale),
        )

    @classmethod
    def load(cls, folder: Path) -> "OdApiDetector":
        """Loads a zoo entry with its weights."""
        detector = cls(read_config(folder), LabelMap.read(folder / LABEL_MAP))
        checkpoint = tf.train.latest_checkpoint(str(folder / CHECKPOINT))
        if checkpoint is None:
            raise ModelError(f"{folder / CHECKPOINT}: there is no checkpoint (ckpt-0.index, ...).")
        try:
            status = tf.train.Checkpoint(model=detector._model).restore(checkpoint)
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
        shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
        checkpoint = tf.train.Checkpoint(model=self._model)
        manager = tf.train.CheckpointManager(checkpoint, str(folder / CHECKPOINT), max_to_keep=1)
        manager.save(checkpoint_number=0)

    def variables(self) -> dict[str, list[tf.Variable]]:
        """As in the protocol; the owner decides, for names gain suffixes in this API."""
        extractor = self._model._feature_extractor
        backbone = list(extractor.classification_backbone.variables)
        owned = {variable.ref() for variable in backbone}
        return {
            "backbone": backbone,
            "neck": [v for v in extractor.variables if v.ref() not in owned],
            "head": list(self._model._box_predictor.variables),
        }

    def freeze(self, parts: frozenset[str]) -> list[tf.Variable]:
        """As in the protocol. Raises ModelError for a part that there isn't."""
        unknown = parts - set(PARTS)
        if unknown:
            raise ModelError(f"There is no part {sorted(unknown)[0]!r}: the parts are {PARTS}.")
        variables = self.variables()
        frozen = {variable.ref() for part in parts for variable in variables[part]}
        owners = (self._model._feature_extractor, self._model._box_predictor)
        for layer in (layer for owner in owners for layer in owner.submodules):
            if isinstance(layer, FreezableBatchNorm):
                layer._training = False if layer.moving_mean.ref() in frozen else None
        return [
            variable
            for part in PARTS
            for variable in variables[part]
            if variable.trainable and variable.ref() not in frozen
        ]

    def losses(self, batch: Batch) -> Mapping[str, tf.Tensor]:
        """As in the protocol: `class`, `box` and `regularization`, weighted by the config."""
        model = self._model
        images = model._feature_extractor.preprocess(batch.images)
        with _learning_phase(True):
            predictions = model.predict(images, self._shapes(tf.shape(images)[0]))
        targets = self._assign(batch.boxes, batch.labels, batch.weights)
        box_loss = model._localization_loss(
            predictions["box_encodings"],
            targets.boxes,
            weights=targets.box_weights,
            ignore_nan_targets=True,
        )
        class_loss = model._classification_loss(
            predictions["class_predictions_with_background"],
            targets.classes,
            weights=tf.repeat(targets.class_weights[..., None], targets.classes.shape[-1], axis=-1),
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
            "regularization": tf.add_n(model.regularization_losses()),
        }

    def detect(self, images: tf.Tensor) -> Mapping[str, tf.Tensor]:
        """As in the protocol; the number of detections is the config's."""
        model = self._model
        resized = tf.image.resize(tf.cast(images, tf.float32), self.input_size)
        # The batch must stay dynamic here: with a static one, NMS is unrolled image by image.
        shapes = self._shapes(tf.shape(resized)[0])
        with _learning_phase(False):
            predictions = model.predict(model._feature_extractor.preprocess(resized), shapes)
        found = model.postprocess(predictions, shapes)
        return {
            "detection_boxes": found["detection_boxes"],
            "detection_classes": found["detection_classes"] + 1,  # the OD API's label offset
            "detection_scores": found["detection_scores"],
            "num_detections": found["num_detections"],
        }

    def _shapes(self, batch: int | tf.Tensor) -> tf.Tensor:
        return tf.tile([[*self.input_size, 3]], [batch, 1])


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
