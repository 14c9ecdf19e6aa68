"""A CenterNet of the OD API's model zoo: what it learns and says, before any class has a branch."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from classlift.data.label_map import LabelMap
from classlift.detectors.detections import Detections
from classlift.detectors.detector import (
    Batch,
    ChampionOutputs,
    HeadsAlone,
    WithoutDistillation,
    over_replicas,
    share_of_replica,
)
from classlift.detectors.od_api.api import (
    bfloat16_to_float32_nested,
    model_builder,
    pipeline_pb2,
)
from classlift.detectors.od_api.center_net_branch import CenterNetBranch
from classlift.detectors.od_api.centers import Centers, find_centers
from classlift.detectors.od_api.extractor import Maps
from classlift.detectors.od_api.outline import CONFIG
from classlift.detectors.od_api.private import (
    CENTER,
    OFFSET,
    SIZE,
    CenterNetParts,
    fix_batch_norms,
    without_downloads,
)
from classlift.detectors.od_api.zoo_entry import ZooEntry, learning_phase, numbered
from classlift.detectors.verifier import pooled
from classlift.errors import ModelError
from classlift.settings.freeze import TARGET_BRANCH


class CenterNetDetector(HeadsAlone, WithoutDistillation, ZooEntry):
    """Parts: what makes the maps is backbone and neck, or backbone alone; the last layer of what
    says where objects of each class have their centres is the class head; all else, sizes and
    offsets too, the head.

    parts: of the OD API's model; nms: the config's settings of non-maximum suppression, or None:
    most have none, for a peak of a heat map is one object.
    """

    meta_architecture = "center_net"
    described = "a CenterNet"
    can_branch = True
    takes_new_classes = True
    can_describe = True
    can_verify = True
    smallest_object = None

    def __init__(self, config: pipeline_pb2.TrainEvalPipelineConfig, label_map: LabelMap) -> None:
        super().__init__(config, label_map)
        self.parts = CenterNetParts(self.model)
        self.named_columns = self.named_columns[1:]  # there is no background
        post = self._settings.post_processing
        has_nms = self._settings.HasField("post_processing")
        self.nms = post.batch_non_max_suppression if has_nms else None
        self.prefix: str | None = None
        self._variables = self._all_variables()

    def build(self) -> Any:
        """The model of the config, with random weights."""
        with without_downloads():
            model = model_builder.build(self.config.model, is_training=True)
        with learning_phase(False):  # an eager pass makes the variables
            images = CenterNetParts(model).extractor.preprocess(tf.zeros([1, *self.frame.size, 3]))
            answers = model.predict(images, self.shapes(1))
        self.cells = tuple(answers[CENTER][-1].shape[1:3])
        return model

    def variables(self) -> dict[str, tf.Variable]:
        """All variables by name, in the order in which an image passes them."""
        return self._variables

    def _all_variables(self) -> dict[str, tf.Variable]:
        """The same, before any is frozen: Keras puts those that can be trained first."""
        backbone, extractor = self.parts.backbone, self.parts.extractor
        found = numbered("backbone", backbone.variables)
        known = {variable.ref() for variable in backbone.variables}
        found |= numbered("neck", (v for v in extractor.variables if v.ref() not in known))
        last: dict[str, tf.Variable] = {}
        for name, head in self.parts.heads().items():
            if name.startswith(CENTER):
                last |= numbered(f"class-head/{name}", head.layers[-1].variables)
                variables = [v for layer in head.layers[:-1] for v in layer.variables]
            else:
                variables = head.variables
            found |= numbered(f"head/{name}", variables)
        return found | last

    def freeze(self, names: frozenset[str]) -> None:
        """Fixes the statistics of the batch norms whose variables are among these."""
        variables = self.variables()
        owners = (self.parts.extractor, *self.parts.heads().values())
        fix_batch_norms(owners, {variables[name].ref() for name in names})

    def cut(self, prefix: str | None) -> None:
        """Prepares for features of the neck; those of the backbone alone can't be kept."""
        self.prefix = prefix if prefix == "neck" else None

    def features(self, images: tf.Tensor) -> Maps:
        """What the heads are fed with. Raises ModelError while that is trained."""
        if self.prefix is None:
            raise ModelError("Backbone or neck is to be trained: there are no features to keep.")
        with learning_phase(False):
            return self.maps(images)

    def maps(self, images: tf.Tensor) -> Maps:
        """What the heads are fed with, of images [batch, height, width, 3] of the frame."""
        return tuple(self.parts.extractor(self.parts.extractor.preprocess(images)))

    def describe(self, images: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
        """Features of boxes: the map of the last heads within each box."""
        with learning_phase(False):
            return pooled(self.maps(images)[-1:], boxes)

    def branch_of(self, numbers: Sequence[int], parts: frozenset[str]) -> CenterNetBranch:
        """A branch for the classes of these ids. Raises ModelError for parts that it can't have."""
        if not parts <= CenterNetBranch.parts:
            raise ModelError(
                f"{CONFIG}: in a CenterNet a class can have a heat map of its own, and no neck; "
                f"choose the freeze policy {TARGET_BRANCH}."
            )
        return CenterNetBranch(self, numbers)

    def set_focal(self, gamma: float | None, alpha: float | None) -> None:
        """Raises ModelError for anything but None: the focal loss of heat maps is another."""
        if gamma is not None or alpha is not None:
            raise ModelError(
                f"{CONFIG}: the focal loss of a CenterNet has other parameters; leave focal_gamma "
                "and focal_alpha out."
            )

    def centers(self, batch: Batch, labels: tf.Tensor, classes: int) -> Centers:
        """Where the boxes of a batch have their centres, those of labels [batch, boxes] from 1."""
        weights = tf.where(labels > 0, batch.weights, 0.0)
        labels = tf.maximum(labels, 0)
        return find_centers(
            batch.boxes, labels, weights, self.cells, classes, self.parts.min_overlap
        )

    def normalized(self, loss: tf.Tensor, centers: Centers) -> tf.Tensor:
        """A loss divided by the number of boxes of the whole batch, over all replicas."""
        count = tf.reduce_sum(tf.cast(centers.box_weights > 0, tf.float32))
        return loss / tf.maximum(over_replicas(count), 1.0)

    def losses(
        self,
        batch: Batch,
        features: Maps | None = None,
        champion_outputs: ChampionOutputs | None = None,
    ) -> Mapping[str, tf.Tensor]:
        """The training losses of heat maps, of sizes and offsets, and regularization.

        With all weights 1 they are the OD API's own.

        Args:
            batch: images of the frame with their boxes.
            features: of the frozen prefix, where they were kept.
            champion_outputs: None, for there is no distillation.

        Returns:
            Scalars: `class`, `box`, `regularization`.

        """
        parts = self.parts
        with learning_phase(True):
            maps = self.maps(batch.images) if features is None else features
            scores = parts.answers(maps, CENTER)
            boxes = {name: parts.answers(maps, name) for name in (SIZE, OFFSET)}
        centers = self.centers(batch, batch.labels, len(self.named_columns))
        weights = centers.weights * tf.constant(self.named_columns, tf.float32)
        found = [parts.class_loss(of_map, centers.heat, weights) for of_map in scores]
        wanted = {SIZE: centers.sizes, OFFSET: centers.offsets}
        box_losses = [
            weight * parts.box_loss(centers.at(of_map), wanted[name], centers.box_weights)
            for name, weight in parts.box_weights
            for of_map in boxes[name]
        ]
        return {
            "class": self.normalized(tf.add_n(found) / len(scores), centers),
            "box": self.normalized(tf.add_n(box_losses) / len(scores), centers),
            "regularization": share_of_replica(
                tf.add_n([tf.constant(0.0), *self.model.regularization_losses()])
            ),
        }

    def boxes_at(
        self, rows: tf.Tensor, columns: tf.Tensor, answers: Mapping[str, Sequence[tf.Tensor]]
    ) -> tf.Tensor:
        """Boxes [batch, n, 4] in 0..1 around places [batch, n] of the maps."""
        boxes = self.parts.boxes_at(rows, columns, answers[SIZE][-1], answers[OFFSET][-1])
        sides = tf.constant([*self.frame.size] * 2, tf.float32)
        return tf.clip_by_value(boxes * float(self.parts.stride) / sides, 0.0, 1.0)

    def detect_with(
        self, images: tf.Tensor, branches: Sequence[CenterNetBranch]
    ) -> tuple[Detections, list[Detections], Maps]:
        """The detections in images, and each branch's.

        Args:
            images: [batch, height, width, 3], of the frame.
            branches: beside the model.

        Returns:
            Its own, each branch's, and the map that the last heads are fed with.

        """
        shapes = self.shapes(tf.shape(images)[0])
        with learning_phase(False):
            answers = self.model.predict(self.parts.extractor.preprocess(images), shapes)
            answers = bfloat16_to_float32_nested(answers)
            own = [branch.detections(answers) for branch in branches]
        # A class without a name is nowhere: a logit of minus infinity is a score of 0.
        scores = tf.where(self.named_columns, answers[CENTER][-1], -float("inf"))
        answers = {**answers, CENTER: [scores]}
        maps = answers["extracted_features"][-1:]
        return Detections.of_od_api(self.model.postprocess(answers, shapes)), own, tuple(maps)
