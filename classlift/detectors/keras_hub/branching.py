"""Folders of KerasHub models some of whose classes have branches."""

from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import keras
import numpy as np
import tensorflow as tf

from classlift.data.label_map import LabelMap
from classlift.detectors.branch_note import BRANCHES, Note
from classlift.detectors.branching import BranchedDetector
from classlift.detectors.keras_hub.model_folder import LABEL_MAP, KerasHubDetector
from classlift.errors import ModelError

WEIGHTS = "branches.npz"
"""The weights of the branches, by the names of their variables."""


class Branched(BranchedDetector[Any]):
    """A detector of KerasHub, with branches.

    Args:
        common: what answers for all other classes.

    """

    common: KerasHubDetector

    @classmethod
    def of(
        cls, kind: type[KerasHubDetector], model: keras.Model, label_map: LabelMap, folder: Path
    ) -> Self:
        """Gives a model the branches and the new classes that its folder has.

        Args:
            kind: the class of its architecture.
            model: as KerasHub loads it.
            label_map: of the folder.
            folder: that it was loaded from.

        Returns:
            The detector.

        Raises:
            ModelError: what the folder says of branches is damaged or missing.

        """
        note = Note.read(folder, label_map)
        detector = cls(kind(model, label_map.without(frozenset(note.new))))
        detector._grow_noted(note, label_map)
        if note.branches:
            detector._restore(folder / WEIGHTS)
        return detector

    def _own(self) -> dict[str, tf.Variable]:
        """The variables of branches, by name."""
        common = self.common.variables()
        return {name: v for name, v in self.variables().items() if name not in common}

    def _restore(self, path: Path) -> None:
        """Puts the weights of a file into the branches."""
        try:
            with np.load(path, allow_pickle=False) as found:
                for name, variable in self._own().items():
                    variable.assign(found[name])
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise ModelError(
                f"{path}: it does not have the weights of the heads that {BRANCHES} names "
                f"({error}); take both from the same folder."
            ) from error

    def save(self, folder: Path) -> None:
        """Writes model, label map and branches."""
        self.common.save(folder)
        self.label_map.write(folder / LABEL_MAP)
        self._note.write(folder)
        (folder / WEIGHTS).unlink(missing_ok=True)
        if self._branches:
            np.savez(folder / WEIGHTS, **{k: v.numpy() for k, v in self._own().items()})
