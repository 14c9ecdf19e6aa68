"""What every detector backend offers to training, export and the gate."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import tensorflow as tf

from components.dataset.label_map import LabelMap


@dataclass(frozen=True)
class Batch:
    """Images and their padded labels, ready for `Detector.losses`.

    images: float32[batch, height, width, 3], RGB, 0 to 255, already at the detector's input size.
    boxes: float32[batch, boxes, 4], ymin, xmin, ymax, xmax in 0..1.
    labels: int32[batch, boxes], class ids from 1; 0 where a box is padding.
    weights: float32[batch, boxes], the weight of each box in the loss; 0 where it is padding.
    """

    images: tf.Tensor
    boxes: tf.Tensor
    labels: tf.Tensor
    weights: tf.Tensor


class Detector(Protocol):
    """A detector that can be fine-tuned part by part.

    A backend is a folder beside this file that implements this protocol and registers its name
    in `components.detectors.backends`.
    """

    label_map: LabelMap
    input_size: tuple[int, int]
    """Height and width in pixels of the images that `losses` takes."""

    def variables(self) -> dict[str, list[tf.Variable]]:
        """All variables by part (`freeze.PARTS`), each in exactly one, in a stable order."""

    def freeze(self, parts: frozenset[str]) -> list[tf.Variable]:
        """Freezes whole parts, batch-norm statistics too; returns what is left to train."""

    def grow_branch(self, label: str) -> None:
        """Gives a class a head of its own, started from the model's, unless it has one.

        From then on the class is answered by its branch alone, and every other class as before, to
        the bit: the branch has a budget of detections of its own. Training means this branch.
        """

    def drop_branches(self) -> None:
        """Takes all branches away: every class is answered by the common head again."""

    def features(self, images: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """What backbone and neck, as they are when frozen, make of a batch's images."""

    def losses(
        self, batch: Batch, features: tuple[tf.Tensor, ...] | None = None
    ) -> Mapping[str, tf.Tensor]:
        """The training losses by name, scalars; their sum is what training minimises.

        features: of the batch's images, instead of computing them; for frozen backbone and neck.
        """

    def detect(self, images: tf.Tensor) -> Mapping[str, tf.Tensor]:
        """Detections for [batch, height, width, 3] RGB, 0 to 255, of any size, as the OD API."""

    def save(self, folder: Path) -> None:
        """Writes the weights and what is needed to load them again."""
