"""What every detector backend offers to training, export and the gate."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, Self

import tensorflow as tf

from classlift.data.label_map import LabelMap
from classlift.detectors.detections import Detections
from classlift.detectors.frame import Frame
from classlift.detectors.verifier import Verifier
from classlift.errors import ModelError


@dataclass(frozen=True)
class Batch:
    """Images and their padded labels, ready for `Detector.losses`.

    Attributes:
        images: float32[batch, height, width, 3], RGB, 0 to 255, already in the detector's frame.
        boxes: float32[batch, boxes, 4], ymin, xmin, ymax, xmax in 0..1.
        labels: int32[batch, boxes], class ids from 1; 0 where a box is padding; -n where it is a
            region in which objects of class n may stand without a box.
        weights: float32[batch, boxes], the weight of each box in the loss; 0 where it is padding.

    """

    images: tf.Tensor
    boxes: tf.Tensor
    labels: tf.Tensor
    weights: tf.Tensor


@dataclass(frozen=True)
class ChampionOutputs:
    """What the champion says of the same images, for training that should not forget it.

    Attributes:
        outputs: as `Detector.outputs` gives them.
        free: the ids of the classes that may change.

    """

    outputs: tuple[tf.Tensor, ...]
    free: frozenset[int]


class Detector(Protocol):
    """A detector that can be fine-tuned part by part.

    A backend is a folder beside this file that implements this protocol and registers its name
    in `classlift.detectors.backends`.
    """

    label_map: LabelMap
    named_columns: tuple[bool, ...]
    """The columns of the class head, the background's first where there is one, that the
    label map names. The others are never answered with, and training leaves them as they are."""
    frame: Frame
    """The size of the images that `losses` takes, and how others get there."""

    @property
    def prefix(self) -> str | None:
        """The last of `backbone` and `neck` up to which all is frozen, and whose output can be
        kept.
        """

    @property
    def can_branch(self) -> bool:
        """Whether a class can have a head of its own: never where classes share their scores."""

    @property
    def can_branch_neck(self) -> bool:
        """Whether such a head can have a neck of its own before it."""

    @property
    def branch_blocks(self) -> Mapping[int, frozenset[str]]:
        """The blocks of the backbone, from 2 as the freeze policy `first:N` counts them, from which
        a branch can have its own, each with the names of the layers that these then are; none where
        it can't begin before the neck.
        """

    @property
    def can_describe(self) -> bool:
        """Whether `describe` works."""

    @property
    def can_verify(self) -> bool:
        """Whether branches can have verifiers."""

    @property
    def smallest_object(self) -> float | None:
        """The side, in pixels of the frame, of the smallest square object that an anchor at its
        centre overlaps by half; None where there are no fixed anchors.
        """

    @property
    def trained_branches(self) -> tuple[str, ...]:
        """The prefixes of the names of the branches that training means; none for the common
        head.
        """

    @property
    def rivalries(self) -> Mapping[str, tf.Variable]:
        """By class with a branch that training means, how much a detection of another class speaks
        against the branch's: where they overlap by half, the branch's score is multiplied by
        (1 - the other's) ** rivalry.

        What is surely a 3 is hardly an 8, which a head of one class can't know; but a rider and his
        bicycle overlap, so it is for eval to choose. The others are the common head's, so that no
        branch has a say in another.
        """

    def variables(self) -> dict[str, tf.Variable]:
        """All variables by name, `part/layer/.../variable` (`freeze.PARTS`), each once, in the
        order in which an image passes them; the same names in every process.
        """

    def freeze(self, names: frozenset[str]) -> dict[str, tf.Variable]:
        """Freezes variables, batch-norm statistics too; returns what is left to train, by name."""

    def grow_branches(
        self, labels: Sequence[str], parts: frozenset[str], auxiliary: bool = False
    ) -> None:
        """Gives each of some classes a head of its own, or a neck and a head.

        A head alone scores the model's boxes, with a neck there are boxes of their own; both start
        from the model's. What a class has already, it keeps. From then on it is answered by its
        branch alone, and every other class as before, to the bit: a branch has a budget of
        detections of its own. Training means these branches, each of which learns as it would
        alone.

        Args:
            labels: the classes.
            parts: of `freeze.PARTS`, that are a branch's own.
            auxiliary: adds a loss `auxiliary`, by layers beside a branch's last that score all
                classes; they are not saved.

        Raises:
            ModelError: in this model, no class can have a head of its own.


        """

    @property
    def verifiers(self) -> Mapping[str, Verifier]:
        """What has a say in the scores of branches that training means, by class, where something
        does.
        """

    def verify(self, verifiers: Mapping[str, Verifier]) -> None:
        """Gives branches that training means verifiers in the place of those that they have.

        Args:
            verifiers: by class; classes that it does not name have none then.

        """

    def evidence(self, images: tf.Tensor) -> Mapping[str, tuple[Detections, tf.Tensor]]:
        """What the branches that training means have found, and what a verifier may know of it.

        Args:
            images: [batch, height, width, 3], of the frame, RGB, 0 to 255.

        Returns:
            By class, the detections before any verifier judges them, and what it would judge them
            by: [batch, n, inputs].

        """

    @property
    def unanswered(self) -> tuple[str, ...]:
        """The classes that the label map names and that nothing answers for: those of `add_class`
        that have no branch yet.
        """

    def add_class(self, label: str, number: int) -> None:
        """Gives a class that the model does not have a place at the end of the label map.

        A branch can be grown for it, and until then it is never detected.

        Args:
            label: its name.
            number: its id, above those of the model's columns.

        Raises:
            ModelError: no class can have a branch.

        """

    def go_on_from(self, other: Self) -> None:
        """Takes over what the branches that training means have learned in another detector.

        Args:
            other: with branches of the same classes, which begin no deeper.

        """

    def take_branch(self, label: str, other: Self) -> None:
        """Puts a class's branch as another detector has it, with its verifier, in the place of its
        own.

        Args:
            label: the class.
            other: of the same model, with a branch of the class.

        """

    def twin(self) -> Self:
        """Another detector of the same weights, with branches of its own.

        It costs nothing but these: what answers for all other classes is one and the same, so that
        branches alone can be trained of either.
        """

    def drop_branches(self, labels: Collection[str] | None = None) -> None:
        """Takes branches away: their classes are answered by the common head again.

        Args:
            labels: the classes; None for all but new ones, of which the common head knows nothing.

        """

    def branches(self) -> tuple[str, ...]:
        """The classes with a branch."""

    def set_focal(self, gamma: float | None, alpha: float | None) -> None:
        """Replaces the parameters of the focal loss.

        Args:
            gamma: 0 or more; None for the model's own.
            alpha: 0 to 1; None for the model's own.

        Raises:
            ModelError: the model's class loss has none.

        """

    def features(self, images: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """What the frozen prefix makes of a batch's images; where `prefix` is not None."""

    def neck_maps(self, features: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
        """What the head to be trained is fed with; where `can_branch_neck` and `prefix` is not
        None.

        Args:
            features: as `features` gives them.

        Returns:
            [batch, rows, columns, channels] each, finest first.

        """

    def describe(self, images: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
        """Features of boxes, as the common head is fed with.

        Args:
            images: [batch, height, width, 3], of the frame, RGB, 0 to 255.
            boxes: [batch, boxes, 4], ymin, xmin, ymax, xmax in 0..1 of it.

        Returns:
            float32[batch, boxes, depth].

        Raises:
            ModelError: `can_describe` is False.

        """

    def outputs(
        self, images: tf.Tensor, features: tuple[tf.Tensor, ...] | None = None
    ) -> tuple[tf.Tensor, ...]:
        """What the common head says before post-processing, with batch norm as in inference.

        Args:
            images: [batch, height, width, 3], of the frame, RGB, 0 to 255.
            features: of these images, instead of computing them; for a frozen prefix.

        Returns:
            Tensors as `ChampionOutputs` takes them.

        Raises:
            ModelError: nobody is held to the champion's answers in this kind of model.

        """

    def losses(
        self,
        batch: Batch,
        features: tuple[tf.Tensor, ...] | None = None,
        champion_outputs: ChampionOutputs | None = None,
    ) -> Mapping[str, tf.Tensor]:
        """The training losses; their sum is what training minimises.

        Args:
            batch: images of the frame with their boxes.
            features: of the batch's images, instead of computing them; for a frozen prefix.
            champion_outputs: adds a loss `distillation`.

        Returns:
            Scalars by name. Under several replicas each gives its share: the sum over them is the
            loss of the batch.

        """

    def detect(self, images: tf.Tensor) -> Mapping[str, tf.Tensor]:
        """The detections in images.

        Args:
            images: [batch, height, width, 3], of the frame, RGB, 0 to 255.

        Returns:
            By the OD API's names: boxes [batch, n, 4], ymin, xmin, ymax, xmax in 0..1 of the frame,
            classes [batch, n] from 1, scores [batch, n], and how many of them count [batch].

        """

    def save(self, folder: Path) -> None:
        """Writes the weights and what is needed to load them again."""


class HeadsAlone:
    """What detectors share of which a branch is a head and nothing before it."""

    described: str
    """The kind of model, for sentences."""

    can_branch_neck = False
    branch_blocks: Mapping[int, frozenset[str]] = MappingProxyType({})

    def neck_maps(self, branch: object, features: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
        """Raises ModelError: no branch has a neck of its own."""
        raise ModelError(f"A branch of {self.described} has no neck of its own.")


class WithoutDistillation:
    """What detectors share in which nobody is held to the champion's answers."""

    described: str
    """The kind of model, for sentences."""

    def outputs(
        self, images: tf.Tensor, features: tuple[tf.Tensor, ...] | None = None
    ) -> tuple[tf.Tensor, ...]:
        """Raises ModelError."""
        raise ModelError(
            f"Distillation does not work for {self.described}; leave distillation out, "
            "l2_to_start and interpolation are there."
        )


class WithoutFeatures(WithoutDistillation):
    """What those of them share of which no features are kept."""

    can_describe = False
    can_verify = False
    smallest_object = None
    prefix = None

    def features(self, images: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Raises ModelError: `prefix` is None."""
        raise ModelError(f"Of {self.described}, no features are kept.")

    def describe(self, images: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
        """Raises ModelError: `can_describe` is False."""
        raise ModelError(f"{self.described}: the features of single boxes are not known.")


def no_new_class(described: str, label: str) -> ModelError:
    """The error of a new class in a kind of model in which no class can have a branch."""
    return ModelError(
        f"In {described}, class {label!r} can't be added: it would need a head of its own, and "
        "there can be none; take an SSD of the OD API with sigmoid scores."
    )


def over_replicas(value: tf.Tensor) -> tf.Tensor:
    """The sum over the replicas that train together; the value itself when there is one."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)


def share_of_replica(value: tf.Tensor) -> tf.Tensor:
    """What one replica contributes of a value that all compute alike."""
    return value / tf.distribute.get_strategy().num_replicas_in_sync
