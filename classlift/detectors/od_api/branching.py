"""Zoo entries of detectors some of whose classes have branches."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import tensorflow as tf

from classlift.data.label_map import LabelMap
from classlift.detectors.branch_note import Note
from classlift.detectors.branching import Branch, BranchedDetector, Branching
from classlift.detectors.od_api.api import pipeline_pb2
from classlift.detectors.od_api.zoo_entry import open_entry, restore, write_entry

B = TypeVar("B", bound=Branch)


class ZooBranching(Branching[B], Protocol[B]):
    """An architecture of the OD API.

    Attributes:
        model: the OD API's own, which is saved as it is.
        config: of it.

    """

    config: pipeline_pb2.TrainEvalPipelineConfig
    model: Any


class Branched(BranchedDetector[B]):
    """A detector of the OD API, with branches.

    Args:
        common: what answers for all other classes.

    """

    common: ZooBranching[B]

    @classmethod
    def load(
        cls,
        kind: Callable[[pipeline_pb2.TrainEvalPipelineConfig, LabelMap], ZooBranching[B]],
        folder: Path,
    ) -> Self:
        """Loads a zoo entry with its weights; says what was chosen where there was a choice.

        Args:
            kind: the class of its architecture.
            folder: of the entry.

        Returns:
            The detector, with the branches and the new classes that the entry has.

        Raises:
            ModelError: the entry can't be loaded.

        """
        config, label_map, checkpoint = open_entry(folder)
        note = Note.read(folder, label_map)
        detector = cls(kind(config, label_map.without(frozenset(note.new))))
        detector._grow_noted(note, label_map)
        restore(detector._checkpoint(), checkpoint, folder)
        return detector

    def save(self, folder: Path) -> None:
        """Writes the zoo entry, without an exported SavedModel.

        The OD API's own tools refuse one with branches, which they would leave out.
        """
        is_whole = not self._branches and not self._new
        write_entry(folder, self.common.config, self.label_map, self._checkpoint(), is_whole)
        self._note.write(folder)

    def _checkpoint(self) -> tf.train.Checkpoint:
        """The model, and its branches in the order of their note."""
        branches = list(self._branches.values())
        return tf.train.Checkpoint(
            model=self.common.model,
            branches=[branch.head_variables for branch in branches],
            branch_necks=[branch.trunk_variables for branch in branches],
            branch_rivalries=[branch.rivalry for branch in branches],
            branch_verifiers=[verifier.line for verifier in self._verifiers.values()],
        )
