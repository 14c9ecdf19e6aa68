"""Heads of their own for some of a detector's classes, whatever its architecture.

An architecture offers what `Branching` asks for, and knows of no branch beside; a backend's
`Branched` makes a `Detector` of it, which is written to disk as the backend has it.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar
from urllib.parse import quote

import tensorflow as tf

from classlift.data.label_map import LabelMap
from classlift.detectors.branch_note import Note
from classlift.detectors.detections import Detections, merge
from classlift.detectors.detector import Batch, ChampionOutputs, no_new_class
from classlift.detectors.frame import Frame
from classlift.detectors.freeze import frozen_prefix
from classlift.detectors.verifier import Verifier, evidence_of
from classlift.errors import ModelError
from classlift.settings.freeze import is_deeper

Features = tuple[tf.Tensor, ...]

NEW_SCORE = 0.01
"""What a branch says everywhere of a class that its model does not have, before it is trained: the
prior of Lin et al., "Focal Loss for Dense Object Detection" (2017), section 4.1."""

DOUBTED = 0.3
"""The score from which a branch's detection may be an object that nobody labelled."""


def is_unlabelled(points: tf.Tensor, batch: Batch, numbers: Sequence[int]) -> tf.Tensor:
    """Whether points are in regions in which objects of some classes may stand without a box.

    Args:
        points: [points, 2], y and x in 0..1; or [batch, points, 2], others in each image.
        batch: whose regions have labels below 0.
        numbers: ids of the classes.

    Returns:
        bool[batch, points].

    """
    is_region = tf.reduce_any(-batch.labels[..., None] == numbers, axis=-1)
    low, high = batch.boxes[:, :, None, :2], batch.boxes[:, :, None, 2:]
    points = points[..., None, :, :] if points.shape.rank == 3 else points
    is_inside = tf.reduce_all((points >= low) & (points <= high), axis=-1)
    return tf.reduce_any(is_inside & is_region[..., None], axis=1)


class Learner(Protocol):
    """What can be trained: the common detector, or a branch of it."""

    @property
    def prefix(self) -> str | None:
        """As `Detector.prefix`; None until `cut`."""

    def variables(self) -> dict[str, tf.Variable]:
        """Its own variables by name, in the order in which an image passes them."""

    def freeze(self, names: frozenset[str]) -> object:
        """Fixes the statistics of its batch norms whose variables are among these."""

    def cut(self, prefix: str | None) -> None:
        """Prepares for features of the parts up to this one, which are frozen."""

    def features(self, images: tf.Tensor) -> Features:
        """As `Detector.features`."""


class Branch(Learner, Protocol):
    """Private layers for some classes of a detector.

    It has a column for each of its classes, in the order of their ids in `numbers`; whoever asks
    for a branch says how many. `BranchedDetector` asks for one column each time: one class, one
    branch.

    Attributes:
        rivalry: as `Detector.rivalry`; 0 until training has chosen.

    """

    numbers: tuple[int, ...]
    rivalry: tf.Variable

    @property
    def parts(self) -> frozenset[str]:
        """What it has of its own (`freeze.branch_parts`)."""

    @property
    def trunk_variables(self) -> list[tf.Variable]:
        """The variables of what it has before its head that are saved."""

    @property
    def head_variables(self) -> list[tf.Variable]:
        """The variables of its head that are saved."""

    def go_on_from(self, known: Self) -> None:
        """Takes over what a branch with fewer parts of its own has learned."""

    def add_auxiliary(self) -> None:
        """Adds what the loss `auxiliary` needs (`Detector.grow_branches`)."""

    def losses(self, batch: Batch, features: Features | None = None) -> Mapping[str, tf.Tensor]:
        """The training losses of its classes; objects of others are background."""


B = TypeVar("B", bound=Branch)


class Branching(Learner, Protocol[B]):
    """A detector of which classes can have branches, as an architecture implements it."""

    label_map: LabelMap
    named_columns: tuple[bool, ...]
    frame: Frame

    @property
    def can_branch(self) -> bool:
        """As `Detector.can_branch`."""

    @property
    def can_branch_neck(self) -> bool:
        """As `Detector.can_branch_neck`."""

    @property
    def branch_blocks(self) -> Mapping[int, frozenset[str]]:
        """As `Detector.branch_blocks`."""

    @property
    def takes_new_classes(self) -> bool:
        """Whether a branch can be of a class that the model does not have."""

    @property
    def can_describe(self) -> bool:
        """As `Detector.can_describe`."""

    @property
    def can_verify(self) -> bool:
        """As `Detector.can_verify`."""

    @property
    def smallest_object(self) -> float | None:
        """As `Detector.smallest_object`."""

    def branch_of(self, numbers: Sequence[int], parts: frozenset[str]) -> B:
        """A branch, started from the detector's own weights.

        For ids that are not the detector's it starts from a score of nearly nothing.

        Args:
            numbers: ids of its classes.
            parts: what is its own (`freeze.branch_parts`).

        Returns:
            The branch.

        Raises:
            ModelError: no class can have one.

        """

    def detect_with(
        self, images: tf.Tensor, branches: Sequence[B]
    ) -> tuple[Detections, list[Detections], Features]:
        """The detections of all classes by the detector itself, as if there were no branches;
        those of each branch; and maps [batch, rows, columns, channels] that describe the images,
        none where it can't verify. What all need is computed once.
        """

    def neck_maps(self, branch: B, features: Features) -> Features:
        """As `Detector.neck_maps`, of a branch."""

    def set_focal(self, gamma: float | None, alpha: float | None) -> None:
        """As `Detector.set_focal`."""

    def describe(self, images: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
        """As `Detector.describe`."""

    def outputs(self, images: tf.Tensor, features: Features | None = None) -> Features:
        """As `Detector.outputs`."""

    def losses(
        self,
        batch: Batch,
        features: Features | None = None,
        champion_outputs: ChampionOutputs | None = None,
    ) -> Mapping[str, tf.Tensor]:
        """As `Detector.losses`, of the common head."""


class BranchedDetector(ABC, Generic[B]):
    """A detector some of whose classes have branches; a `Detector`.

    Args:
        common: what answers for all other classes.

    """

    def __init__(self, common: Branching[B]) -> None:
        self.common = common
        self.label_map = common.label_map
        self.named_columns = common.named_columns
        self.frame = common.frame
        self._branches: dict[str, B] = {}
        self._verifiers: dict[str, Verifier] = {}
        self._new: list[str] = []
        self._trained: tuple[str, ...] = ()

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Writes the detector with its branches, as its backend has it."""

    @property
    def can_branch(self) -> bool:
        """Whether a class can have a head of its own."""
        return self.common.can_branch

    @property
    def can_branch_neck(self) -> bool:
        """Whether it can have a neck of its own, too."""
        return self.common.can_branch_neck

    @property
    def branch_blocks(self) -> Mapping[int, frozenset[str]]:
        """The blocks of the backbone that it can begin with, and the layers from each on."""
        return self.common.branch_blocks

    @property
    def can_describe(self) -> bool:
        """Whether `describe` works."""
        return self.common.can_describe

    @property
    def can_verify(self) -> bool:
        """Whether branches can have verifiers."""
        return self.common.can_verify

    @property
    def smallest_object(self) -> float | None:
        """The side, in pixels of the frame, of the smallest object that anchors find."""
        return self.common.smallest_object

    @property
    def trained_branches(self) -> tuple[str, ...]:
        """The prefixes of the names of the branches that training means."""
        return tuple(_prefix(label).removesuffix("/") for label in self._trained)

    @property
    def rivalries(self) -> Mapping[str, tf.Variable]:
        """How much a detection of another class speaks against a branch's, by its class."""
        return {label: self._branches[label].rivalry for label in self._trained}

    @property
    def prefix(self) -> str | None:
        """The last part up to which all is frozen, on the way to what is trained."""
        return self._trained_learners[0].prefix

    @property
    def _trained_learners(self) -> Sequence[Learner]:
        """What training means."""
        return [self._branches[label] for label in self._trained] or [self.common]

    def _learners(self) -> dict[str, Learner]:
        """All that has variables, by what their names begin with."""
        return {"": self.common, **{_prefix(k): branch for k, branch in self._branches.items()}}

    def variables(self) -> dict[str, tf.Variable]:
        """All variables by name; those of branches last."""
        found = {
            prefix + name: variable
            for prefix, learner in self._learners().items()
            for name, variable in learner.variables().items()
        }
        for label, verifier in self._verifiers.items():
            found[f"{_prefix(label)}head/verifier"] = verifier.line
        return found

    def freeze(self, names: frozenset[str]) -> dict[str, tf.Variable]:
        """Freezes variables, by name. Raises ModelError for a name that there isn't."""
        variables = self.variables()
        unknown = names - set(variables)
        if unknown:
            raise ModelError(f"There is no variable {min(unknown)!r} to freeze.")
        for start, learner in self._learners().items():
            own = learner.variables()
            learner.freeze(frozenset(name for name in own if start + name in names))
        prefix = frozen_prefix(list(variables), names, self.trained_branches)
        for learner in self._trained_learners:
            learner.cut(prefix)
        return {
            name: variable
            for name, variable in variables.items()
            if variable.trainable and name not in names
        }

    def grow_branches(
        self, labels: Sequence[str], parts: frozenset[str], auxiliary: bool = False
    ) -> None:
        """Gives each of some classes a branch. Raises ModelError where no class can have one."""
        for label in labels:
            known = self._branches.get(label)
            if known is None or is_deeper(parts, known.parts):
                branch = self.common.branch_of([self.label_map.id_of(label)], parts)
                if known is not None:
                    branch.go_on_from(known)
                self._branches[label] = branch
            if auxiliary:
                self._branches[label].add_auxiliary()
        self._trained = tuple(labels)

    def go_on_from(self, other: Self) -> None:
        """Takes over what the branches of another have learned, as `Detector.go_on_from`."""
        for label in self._trained:
            self._branches[label].go_on_from(other._branches[label])

    def take_branch(self, label: str, other: Self) -> None:
        """Puts a branch as another has it in the place of its own, as `Detector.take_branch`."""
        theirs = other._branches[label]
        self._branches[label] = self.common.branch_of(theirs.numbers, theirs.parts)
        self._branches[label].go_on_from(theirs)
        self._verifiers.pop(label, None)
        if label in other._verifiers:
            self._verifiers[label] = other._verifiers[label]

    def twin(self) -> Self:
        """Another detector of the same weights, with branches of its own, as `Detector.twin`."""
        other = copy.copy(self)
        other._branches, other._verifiers, other._new = {}, {}, list(self._new)
        for label in self._branches:
            other.take_branch(label, self)
        return other

    @property
    def unanswered(self) -> tuple[str, ...]:
        """The new classes without a branch."""
        return tuple(label for label in self._new if label not in self._branches)

    def add_class(self, label: str, number: int) -> None:
        """Gives a class a place after those of the model.

        Args:
            label: its name.
            number: its id, above all that there are.

        Raises:
            ModelError: no class of this model can have a branch.

        """  # noqa: DOC501 - the ModelError has a maker
        if not self.common.takes_new_classes:
            raise no_new_class("this model", label)
        self.label_map = self.label_map.with_classes({label: number})
        self._new.append(label)

    def _grow_noted(self, note: Note, label_map: LabelMap) -> None:
        """Grows what a folder names: new classes, then branches, whose weights are still to come.

        Args:
            note: of the folder.
            label_map: of the folder; it has the ids of all classes of the note.

        """
        for label in note.new:
            self.add_class(label, label_map.id_of(label))
        for label, parts in note.branches.items():
            self._branches[label] = self.common.branch_of([label_map.id_of(label)], parts)
        for label, inputs in note.verified.items():
            self._verifiers[label] = Verifier(inputs)

    @property
    def _note(self) -> Note:
        """What `_grow_noted` needs to grow the same."""
        return Note(
            {label: branch.parts for label, branch in self._branches.items()},
            self._new,
            {label: verifier.inputs for label, verifier in self._verifiers.items()},
        )

    @property
    def verifiers(self) -> Mapping[str, Verifier]:
        """The verifiers of the branches that training means, by class, where they have one."""
        return {label: own for label, own in self._verifiers.items() if label in self._trained}

    def verify(self, verifiers: Mapping[str, Verifier]) -> None:
        """Gives the branches that training means verifiers, as `Detector.verify`."""
        for label in self._trained:
            self._verifiers.pop(label, None)
        self._verifiers.update(verifiers)

    def drop_branches(self, labels: Collection[str] | None = None) -> None:
        """Takes branches away, as `Detector.drop_branches`."""
        gone = set(self._branches) - set(self._new) if labels is None else set(labels)
        self._branches = {k: branch for k, branch in self._branches.items() if k not in gone}
        self._verifiers = {k: own for k, own in self._verifiers.items() if k not in gone}
        self._trained = ()

    def branches(self) -> tuple[str, ...]:
        """The classes with a branch."""
        return tuple(self._branches)

    def set_focal(self, gamma: float | None, alpha: float | None) -> None:
        """Replaces the parameters of the focal loss; None for the model's own."""
        self.common.set_focal(gamma, alpha)

    def features(self, images: tf.Tensor) -> Features:
        """What the frozen prefix makes of images, on the way to what is trained."""
        return self._trained_learners[0].features(images)

    def neck_maps(self, features: Features) -> Features:
        """What the head to be trained is fed with."""
        return self.common.neck_maps(self._branches[self._trained[0]], features)

    def describe(self, images: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
        """Features of boxes, as the common head is fed with."""
        return self.common.describe(images, boxes)

    def outputs(self, images: tf.Tensor, features: Features | None = None) -> Features:
        """What the common head says before post-processing."""
        return self.common.outputs(images, features)

    def losses(
        self,
        batch: Batch,
        features: Features | None = None,
        champion_outputs: ChampionOutputs | None = None,
    ) -> Mapping[str, tf.Tensor]:
        """The training losses of what training means.

        Args:
            batch: as `Detector.losses`.
            features: of its images, for a frozen prefix.
            champion_outputs: for the loss `distillation` of the common head.

        Returns:
            The losses by name; those of several branches are added up.

        """
        if not self._trained:
            return self.common.losses(batch, features, champion_outputs)
        found: dict[str, tf.Tensor] = {}
        for label in self._trained:
            for name, loss in self._branches[label].losses(batch, features).items():
                found[name] = found[name] + loss if name in found else loss
        return found

    def detect(self, images: tf.Tensor) -> Mapping[str, tf.Tensor]:
        """The detections in images, those of classes with a branch from there.

        Args:
            images: [batch, height, width, 3], of the frame.

        Returns:
            By the OD API's names; their number is the config's, and that of a class more for each
            that has a branch.

        """
        common, found, maps = self._found(images)
        if found:
            for label, verifier in self._verifiers.items():
                evidence = evidence_of(found[label], common, maps)
                found[label] = verifier.judged(found[label], evidence)
            numbers = [n for branch in self._branches.values() for n in branch.numbers]
            common = merge(common, list(found.values()), numbers)
        return common.as_od_api()

    def _found(self, images: tf.Tensor) -> tuple[Detections, dict[str, Detections], Features]:
        """What the common head finds, and each branch before a verifier sees it; and the maps."""
        branches = list(self._branches.values())
        common, found, maps = self.common.detect_with(images, branches)
        # Rivals are the common head's, so that no branch has a say in another.
        own = {
            label: detections.discounted(common, branch.rivalry)
            for (label, branch), detections in zip(self._branches.items(), found, strict=True)
        }
        return common, own, maps

    def evidence(self, images: tf.Tensor) -> Mapping[str, tuple[Detections, tf.Tensor]]:
        """What there is to judge the detections of branches by, as `Detector.evidence`."""
        common, found, maps = self._found(images)
        return {
            label: (found[label], evidence_of(found[label], common, maps))
            for label in self._trained
        }


def _prefix(label: str) -> str:
    """What the names of the variables of a class's branch begin with."""
    return f"branch/{quote(label, safe=' ')}/"
