"""A model bundle: a SavedModel that carries all that is needed to judge, serve and fine-tune it.

The SavedModel's `assets.extra` folder, which TensorFlow and TF Serving ignore, holds the model as
its backend saves it (a zoo entry), `operating_points.json` and `provenance.json`. So whatever is
served can be fine-tuned again, even when everything else was lost. Read here without TensorFlow.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from classlift.errors import ModelError
from classlift.serving.abilities import Abilities
from classlift.serving.provenance import Provenance
from classlift.settings.freeze import branch_parts
from classlift.text import did_you_mean

if TYPE_CHECKING:
    from classlift.data.label_map import LabelMap

SAVED_MODEL = "saved_model.pb"
ENTRY = "assets.extra"
"""The folder of the model as its backend saves it."""

OPERATING_POINTS, LABEL_MAP = "operating_points.json", "label_map.pbtxt"

DEFAULT_THRESHOLD = 0.5
"""Taken as the score threshold in production when a model brings none."""

THRESHOLDS_UNKNOWN = (
    "Production's score thresholds are not known, for the champion brings no "
    f"{OPERATING_POINTS}: {DEFAULT_THRESHOLD} is assumed for every class. Write those that you use "
    f"to {OPERATING_POINTS}, in the folder of the model."
)
"""Said wherever the champion is read at thresholds that nobody gave."""


def read_operating_points(path: Path, labels: Iterable[str]) -> dict[str, float]:
    """Reads the score threshold of each class in production from `operating_points.json`.

    Args:
        path: of the file.
        labels: of the model's label map; the file names each of them, and nothing else.

    Returns:
        The thresholds by class, 0 to 1.

    Raises:
        ModelError: it can't be read, does not fit the label map, or has what is no number from 0 to
            1.

    """
    advice = "give each class of the label map one number from 0 to 1, its score threshold."
    try:
        points = json.loads(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path}: it can't be read ({error.strerror}); {advice}") from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: it is not valid JSON ({str(error)[:200]}); {advice}") from None
    if not isinstance(points, dict):
        raise ModelError(f"{path}: it holds no object of classes; {advice}")
    known = list(labels)
    for label in known:
        if label not in points:
            raise ModelError(f"{path}: class {label!r} has no score threshold; {advice}")
        value = points[label]
        # True is an int to Python, and NaN a number to its JSON.
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ModelError(
                f"{path}: the score threshold of class {label!r} is {repr(value)[:80]}; {advice}"
            )
    for label in points.keys() - set(known):
        raise ModelError(
            f"{path}: {repr(label)[:80]} is no class of the label map, which has: "
            f"{', '.join(known)}{did_you_mean(label, known)}."
        )
    return {label: float(points[label]) for label in known}


@dataclass(frozen=True)
class Bundle:
    """The folder of a SavedModel with its extra assets."""

    saved_model: Path

    @property
    def entry(self) -> Path:
        """The model as its backend saves it."""
        return self.saved_model / ENTRY

    def label_map(self) -> "LabelMap":
        """The model's label map."""
        from classlift.data.label_map import LabelMap  # protobuf, whose kind a node chooses first

        return LabelMap.read(self.entry / LABEL_MAP)

    def operating_points(self) -> dict[str, float]:
        """The score threshold of each class in production.

        Returns:
            By class, 0 to 1; `DEFAULT_THRESHOLD` for all when the model brings none
            (`brings_operating_points`).

        Raises:
            ModelError: as `read_operating_points`.
            DataError: the label map is missing or damaged.

        """
        labels = self.label_map()
        if not self.brings_operating_points():
            return dict.fromkeys(labels, DEFAULT_THRESHOLD)
        return read_operating_points(self.entry / OPERATING_POINTS, labels)

    def brings_operating_points(self) -> bool:
        """Whether the thresholds in production are known, and not `DEFAULT_THRESHOLD` assumed."""
        return (self.entry / OPERATING_POINTS).exists()

    def abilities(self) -> Abilities:
        """What the model can do. Raises ModelError when the file is damaged."""
        return Abilities.read(self.entry)

    def provenance(self) -> Provenance:
        """Where the model comes from, as it says itself.

        Returns:
            Its provenance; an empty one where it says nothing.

        Raises:
            ModelError: the file is damaged.

        """
        return Provenance.read(self.entry)

    def write_provenance(self, provenance: Provenance) -> None:
        """Writes where the model comes from."""
        provenance.write(self.entry)

    def is_recalibrated(self) -> bool:
        """Whether this is another model with other thresholds, and nothing else."""
        return self.provenance().recalibrated

    def leaves_other_classes(self) -> bool:
        """Whether its recipe can't have changed a class but the target's: a branch, or nothing."""
        provenance = self.provenance()
        return provenance.recalibrated or bool(branch_parts(provenance.freeze_policy or ""))

    def write_notes(self, points: Mapping[str, float], provenance: Provenance) -> None:
        """Writes the operating points and the provenance of a new model.

        Args:
            points: by class, each from 0 to 1.
            provenance: where it comes from.

        Raises:
            ModelError: a point is another number: it would be served. Nothing is written.

        """
        for label, point in points.items():
            if not (math.isfinite(point) and 0 <= point <= 1):
                raise ModelError(
                    f"{self.saved_model}: the score threshold of class {label!r} would be "
                    f"{point}, which is none; nothing is written."
                )
        self.write_operating_points(points)
        self.write_provenance(provenance)

    def write_operating_points(self, points: Mapping[str, float]) -> None:
        """Writes the score threshold of each class in production, each from 0 to 1."""
        (self.entry / OPERATING_POINTS).write_text(json.dumps(dict(points), indent=1))
