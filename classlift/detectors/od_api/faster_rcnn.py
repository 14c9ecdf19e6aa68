"""A Faster R-CNN of the OD API's model zoo."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from classlift.data.label_map import LabelMap
from classlift.detectors.detections import Detections
from classlift.detectors.detector import (
    Batch,
    ChampionOutputs,
    HeadsAlone,
    WithoutFeatures,
    share_of_replica,
)
from classlift.detectors.od_api.api import (
    bfloat16_to_float32_nested,
    model_builder,
    pipeline_pb2,
)
from classlift.detectors.od_api.faster_rcnn_branch import FasterRcnnBranch
from classlift.detectors.od_api.outline import CONFIG
from classlift.detectors.od_api.private import FasterRcnnParts, fix_batch_norms, mask_scores
from classlift.detectors.od_api.zoo_entry import ZooEntry, learning_phase, named, require
from classlift.errors import ModelError
from classlift.settings.freeze import TARGET_BRANCH

LOSSES = {
    "Loss/RPNLoss/localization_loss": "proposal_box",
    "Loss/RPNLoss/objectness_loss": "proposal",
    "Loss/BoxClassifierLoss/localization_loss": "box",
    "Loss/BoxClassifierLoss/classification_loss": "class",
}


class FasterRcnnDetector(HeadsAlone, WithoutFeatures, ZooEntry):
    """Parts: the extractor of the first stage is the backbone, what proposes regions the neck, the
    extractor and the predictor of the second stage the head.

    Losses are the OD API's own. No features are kept, and nobody is held to the champion's answers.

    nms: the settings of the second stage's non-maximum suppression.

    Raises ModelError for another second stage than the zoo's (R-FCN), and for one that reads the
    features of other images.
    """

    meta_architecture = "faster_rcnn"
    described = "a Faster R-CNN"
    can_branch = True
    takes_new_classes = False
    """A branch scores the classes of the model, which share a softmax."""

    def __init__(self, config: pipeline_pb2.TrainEvalPipelineConfig, label_map: LabelMap) -> None:
        settings = config.model.faster_rcnn
        predictor = settings.second_stage_box_predictor
        require(predictor, "box_predictor_oneof", "mask_rcnn_box_predictor")
        if settings.HasField("context_config"):
            raise ModelError(
                f"{CONFIG}: a Context R-CNN (context_config) reads features of other images, which "
                "this version has none of; take a Faster R-CNN without."
            )
        super().__init__(config, label_map)
        self.parts = FasterRcnnParts(self.model)
        if not all(self.named_columns):
            convert = mask_scores(self.named_columns, self.parts.convert_scores)
            self.parts.set_score_conversion(convert)
        self.nms = self._settings.second_stage_post_processing.batch_non_max_suppression

    def build(self) -> Any:
        """The model of the config, with random weights."""
        model = model_builder.build(self.config.model, is_training=True)
        parts = FasterRcnnParts(model)
        with learning_phase(False), parts.inference():  # an eager pass makes the variables
            images = parts.extractor.preprocess(tf.zeros([1, *self.frame.size, 3]))
            model.predict(images, self.shapes(1))
        return model

    def variables(self) -> dict[str, tf.Variable]:
        """All variables by name, in the order in which an image passes them."""
        found: dict[str, tf.Variable] = {}
        for part, owners in self.parts.owners().items():
            for owner in owners:
                found |= named(part, owner.variables, owner)
        return found

    def freeze(self, names: frozenset[str]) -> None:
        """Fixes the statistics of the batch norms whose variables are among these."""
        variables = self.variables()
        owners = (owner for owners in self.parts.owners().values() for owner in owners)
        fix_batch_norms(owners, {variables[name].ref() for name in names})

    def cut(self, prefix: str | None) -> None:
        """Does nothing: no features are kept."""

    def branch_of(self, numbers: Sequence[int], parts: frozenset[str]) -> FasterRcnnBranch:
        """A branch for the classes of these ids. Raises ModelError for parts that it can't have."""
        if not parts <= FasterRcnnBranch.parts:
            raise ModelError(
                f"{CONFIG}: in a Faster R-CNN a class can have a second stage of its own, and no "
                f"neck; choose the freeze policy {TARGET_BRANCH}."
            )
        return FasterRcnnBranch(self, numbers)

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
        found = self.losses_of(self.parts, batch, training=True)
        return {**found, "regularization": self.regularization(self.model.regularization_losses())}

    def losses_of(
        self, parts: FasterRcnnParts, batch: Batch, training: bool
    ) -> dict[str, tf.Tensor]:
        """The OD API's own losses of a model of this config.

        Args:
            parts: of the model.
            batch: images of the frame with their boxes.
            training: whether batch norms that are not fixed learn.

        Returns:
            Scalars by our names, those of `LOSSES`.

        """
        model, count = parts.model, batch.images.shape[0]
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
        shapes = self.shapes(count)
        with learning_phase(training):
            images = parts.extractor.preprocess(batch.images)
            answers = bfloat16_to_float32_nested(model.predict(images, shapes))
        found = model.loss(answers, shapes)
        return {ours: share_of_replica(found[theirs]) for theirs, ours in LOSSES.items()}

    def regularization(self, losses: Sequence[tf.Tensor]) -> tf.Tensor:
        """The share of this replica in the losses of weights alone."""
        return share_of_replica(tf.add_n([tf.constant(0.0), *losses]))

    def detect_with(
        self, images: tf.Tensor, branches: Sequence[FasterRcnnBranch]
    ) -> tuple[Detections, list[Detections], tuple[()]]:
        """The detections in images [batch, height, width, 3] of the frame, and each branch's."""
        model = self.model
        shapes = self.shapes(tf.shape(images)[0])
        with learning_phase(False), self.parts.inference():
            answers = model.predict(self.parts.extractor.preprocess(images), shapes)
            answers = bfloat16_to_float32_nested(answers)
            own = [branch.detections(answers, shapes) for branch in branches]
            found = model.postprocess(answers, shapes)
        return Detections.of_od_api(found), own, ()
