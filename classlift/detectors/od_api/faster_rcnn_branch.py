"""A branch of a Faster R-CNN: a second stage for some of its classes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from classlift.detectors.detections import Detections, suppressed
from classlift.detectors.detector import Batch
from classlift.detectors.od_api.private import FasterRcnnParts, fix_batch_norms
from classlift.detectors.od_api.zoo_entry import learning_phase, named

if TYPE_CHECKING:
    from classlift.detectors.od_api.faster_rcnn import FasterRcnnDetector

Features = tuple[tf.Tensor, ...]


class FasterRcnnBranch:
    """Scores and refines the proposals of the common first stage with layers of its own, which
    start from the common second stage. After iTFA, Choi et al., "Incremental Few-Shot Object
    Detection via Simple Fine-Tuning Approach" (2023), arXiv 2302.09779.

    It has the columns of all classes, for a softmax tells each from all others, and answers with
    those of its own.

    Args:
        numbers: the ids of its classes.

    """

    parts = frozenset({"head", "class-head"})
    prefix = None

    def __init__(self, common: "FasterRcnnDetector", numbers: Sequence[int]) -> None:
        self.numbers = tuple(numbers)
        self.rivalry = tf.Variable(0.0, trainable=False, name="rivalry")
        self._common = common
        self._own = FasterRcnnParts(common.build())
        self._own.take_first_stage(common.parts)
        self._owners: tuple[Any, ...] = self._own.owners()["head"]
        _copy(common.parts.owners()["head"], self._owners)

    def go_on_from(self, known: "FasterRcnnBranch") -> None:
        """Takes over what another branch has learned."""
        _copy(known._owners, self._owners)
        self.rivalry.assign(known.rivalry)

    def add_auxiliary(self) -> None:
        """Does nothing: its own loss tells all classes apart."""

    @property
    def trunk_variables(self) -> list[tf.Variable]:
        """None: its proposals are the common ones."""
        return []

    @property
    def head_variables(self) -> list[tf.Variable]:
        """The variables of its second stage."""
        return [variable for owner in self._owners for variable in owner.variables]

    def variables(self) -> dict[str, tf.Variable]:
        """All variables by name, in the order in which a proposal passes them."""
        found: dict[str, tf.Variable] = {}
        for owner in self._owners:
            found |= named("head", owner.variables, owner)
        return found | named("head", [self.rivalry])

    def freeze(self, names: frozenset[str]) -> None:
        """Fixes the statistics of its batch norms whose variables are among these."""
        variables = self.variables()
        fix_batch_norms(self._owners, {variables[name].ref() for name in names})

    def cut(self, prefix: str | None) -> None:
        """Does nothing: no features are kept."""

    def features(self, images: tf.Tensor) -> Features:
        """Raises ModelError: no features are kept."""
        return self._common.features(images)

    def losses(self, batch: Batch, features: Features | None = None) -> Mapping[str, tf.Tensor]:
        """The losses of the second stage, of all classes, and regularization.

        Batch norm keeps the champion's statistics: batches rich in one class would shift them.

        Args:
            batch: images of the frame with their boxes.
            features: None, for none are kept.

        Returns:
            Scalars: `class`, `box`, `regularization`.

        """
        found = self._common.losses_of(self._own, batch, training=False)
        regularization = [loss for owner in self._owners for loss in owner.losses]
        return {
            "class": found["class"],
            "box": found["box"],
            "regularization": self._common.regularization(regularization),
        }

    def detections(self, answers: Mapping[str, tf.Tensor], shapes: tf.Tensor) -> Detections:
        """What it finds of its classes, by the config's NMS for each.

        Args:
            answers: of the common detector.
            shapes: int32[batch, 3], of the images.

        Returns:
            The detections of its classes.

        """
        with learning_phase(False), self._own.inference():
            encodings, scores = self._own.second_stage(answers, shapes)
        boxes = self._own.decode(encodings, answers["proposal_boxes"])
        boxes = tf.clip_by_value(boxes / tf.tile(tf.cast(shapes[0, :2], tf.float32), [2]), 0.0, 1.0)
        if boxes.shape[2] > 1:  # not one box for all classes
            boxes = tf.gather(boxes, [number - 1 for number in self.numbers], axis=2)
        scores = tf.gather(self._own.convert_scores(scores), self.numbers, axis=2)
        count = tf.shape(boxes)[1]
        is_proposal = tf.range(count) < tf.cast(answers["num_proposals"], tf.int32)[:, None]
        scores = tf.where(is_proposal[..., None], scores, 0.0)
        return suppressed(boxes, scores, self.numbers, self._common.nms)


def _copy(source: Sequence[Any], target: Sequence[Any]) -> None:
    """Gives layers the values of others."""
    for theirs, ours in zip(source, target, strict=True):
        for value, variable in zip(theirs.variables, ours.variables, strict=True):
            variable.assign(value)
