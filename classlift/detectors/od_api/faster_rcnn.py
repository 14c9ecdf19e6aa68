"""A Faster R-CNN of the OD API's model zoo as a `Detector`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from classlift.detectors.detector import Batch, ChampionOutputs, WithoutBranches, share_of_replica
from classlift.detectors.od_api.api import bfloat16_to_float32_nested, model_builder
from classlift.detectors.od_api.outline import CONFIG
from classlift.detectors.od_api.zoo_entry import ZooEntry, freeze_batch_norm, learning_phase, named
from classlift.errors import ModelError

LOSSES = {
    "Loss/RPNLoss/localization_loss": "proposal_box",
    "Loss/RPNLoss/objectness_loss": "proposal",
    "Loss/BoxClassifierLoss/localization_loss": "box",
    "Loss/BoxClassifierLoss/classification_loss": "class",
}


class FasterRcnnDetector(WithoutBranches, ZooEntry):
    """Parts: the extractor of the first stage is the backbone, what proposes regions the neck, the
    extractor and the predictor of the second stage the head.

    Losses are the OD API's own. Its classes share their scores (softmax) and its proposals their
    number, so there are no branches; nor are features cached or the champion's answers kept.
    """

    meta_architecture = "faster_rcnn"
    described = "a Faster R-CNN"

    def _build(self) -> Any:
        model = model_builder.build(self._config.model, is_training=True)
        if not all(self.named_columns):
            convert = model._second_stage_score_conversion_fn
            model._second_stage_score_conversion_fn = lambda scores: self._of_named(convert(scores))
        with learning_phase(False), _inference(model):  # an eager pass makes the variables
            images = model._feature_extractor.preprocess(tf.zeros([1, *self.frame.size, 3]))
            model.predict(images, self._shapes(1))
        return model

    def _checkpoint(self) -> tf.train.Checkpoint:
        return tf.train.Checkpoint(model=self._model)

    def _note(self) -> dict[str, Any]:
        return {}

    def _owners(self) -> dict[str, tuple[Any, ...]]:
        """The layers by part, in the order of the image."""
        model = self._model
        predictor = model._mask_rcnn_box_predictor
        return {
            "backbone": (model._feature_extractor_for_proposal_features,),
            "neck": (
                model._first_stage_box_predictor_first_conv,
                model._first_stage_box_predictor,
            ),
            "head": (
                model._feature_extractor_for_box_classifier_features,
                predictor._box_prediction_head,
                predictor._class_prediction_head,
            ),
        }

    def variables(self) -> dict[str, tf.Variable]:
        """All variables by name, in the order in which an image passes them."""
        found: dict[str, tf.Variable] = {}
        for part, owners in self._owners().items():
            for owner in owners:
                found |= named(part, owner.variables, owner)
        return found

    def freeze(self, names: frozenset[str]) -> dict[str, tf.Variable]:
        """Freezes variables by name; returns what is left to train."""
        variables = self.variables()
        frozen = {variables[name].ref() for name in names}
        freeze_batch_norm((o for owners in self._owners().values() for o in owners), frozen)
        return {n: v for n, v in variables.items() if v.trainable and n not in names}

    def set_focal(self, gamma: float | None, alpha: float | None) -> None:
        """Raises ModelError for anything but None: the class loss is a cross-entropy."""
        if gamma is not None or alpha is not None:
            raise ModelError(
                f"{CONFIG}: a Faster R-CNN has no focal loss; leave focal_gamma and focal_alpha "
                "out."
            )

    def losses(
        self,
        batch: Batch,
        features: tuple[tf.Tensor, ...] | None = None,
        champion_outputs: ChampionOutputs | None = None,
    ) -> Mapping[str, tf.Tensor]:
        """The training losses of the proposals, of class and box, and the regularization."""
        model, count = self._model, batch.images.shape[0]
        known = [batch.labels[i] > 0 for i in range(count)]

        def by_image(values: tf.Tensor) -> list[tf.Tensor]:
            return [tf.boolean_mask(values[i], known[i]) for i in range(count)]

        model.provide_groundtruth(
            groundtruth_boxes_list=by_image(batch.boxes),
            groundtruth_classes_list=by_image(
                tf.one_hot(batch.labels - 1, self._settings.num_classes)
            ),
            groundtruth_weights_list=by_image(batch.weights),
        )
        shapes = self._shapes(count)
        with learning_phase(True):
            images = model._feature_extractor.preprocess(batch.images)
            answers = bfloat16_to_float32_nested(model.predict(images, shapes))
        found = model.loss(answers, shapes)
        regularization = tf.add_n([tf.constant(0.0), *model.regularization_losses()])
        return {
            **{ours: share_of_replica(found[theirs]) for theirs, ours in LOSSES.items()},
            "regularization": share_of_replica(regularization),
        }

    def detect(self, images: tf.Tensor) -> Mapping[str, tf.Tensor]:
        """The detections in images [batch, height, width, 3] of the frame."""
        model = self._model
        shapes = self._shapes(tf.shape(images)[0])
        with learning_phase(False), _inference(model):
            answers = model.predict(model._feature_extractor.preprocess(images), shapes)
            found = model.postprocess(bfloat16_to_float32_nested(answers), shapes)
        return {
            "detection_boxes": found["detection_boxes"],
            "detection_classes": found["detection_classes"] + 1,  # the OD API's label offset
            "detection_scores": found["detection_scores"],
            "num_detections": found["num_detections"],
        }


@contextmanager
def _inference(model: Any) -> Iterator[None]:
    """Within the block, proposals are not sampled by the labels, as a model in training does."""
    model._is_training = False
    try:
        yield
    finally:
        model._is_training = True
