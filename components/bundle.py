"""A model bundle: a SavedModel that carries all that is needed to judge, serve and fine-tune it.

The SavedModel's `assets.extra` folder, which TensorFlow and TF Serving ignore, holds the model as
its backend saves it (a zoo entry), `operating_points.json` and `provenance.json`. So whatever is
served can be fine-tuned again, even when everything else was lost. Read here without TensorFlow.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.dataset.label_map import LabelMap
from components.errors import ModelError
from components.serving_folder import ENTRY, PROVENANCE

OPERATING_POINTS, LABEL_MAP = "operating_points.json", "label_map.pbtxt"
ABILITIES = "abilities.json"

DEFAULT_THRESHOLD = 0.5
"""Taken as the score threshold in production when a model brings none."""


@dataclass(frozen=True)
class Bundle:
    """The folder of a SavedModel with its extra assets."""

    saved_model: Path

    @property
    def entry(self) -> Path:
        """The model as its backend saves it."""
        return self.saved_model / ENTRY

    def label_map(self) -> LabelMap:
        """The model's label map."""
        return LabelMap.read(self.entry / LABEL_MAP)

    def operating_points(self) -> dict[str, float]:
        """The score threshold of each class in production.

        `DEFAULT_THRESHOLD` for all when the model brings none. Raises ModelError when what it
        brings does not fit its label map.
        """
        path, labels = self.entry / OPERATING_POINTS, self.label_map()
        if not path.exists():
            return dict.fromkeys(labels, DEFAULT_THRESHOLD)
        points: dict[str, float] = json.loads(path.read_text())
        wrong = [c for c in labels if not isinstance(points.get(c), int | float)]
        if wrong or len(points) != len(labels):
            raise ModelError(
                f"{path}: each class of the label map needs one number, its score threshold; "
                f"check {wrong[0] if wrong else 'the names'}."
            )
        return points

    def can_branch(self) -> bool:
        """Whether a class of the model can have a head of its own; True for one that says nothing,
        as versions that were served before there was this note.
        """
        return bool(self._abilities().get("can_branch", True))

    def smallest_object(self) -> float | None:
        """As `Detector.smallest_object`; None also for a model that does not say."""
        side: float | None = self._abilities().get("smallest_object")
        return side

    def _abilities(self) -> dict[str, Any]:
        path = self.entry / ABILITIES
        return json.loads(path.read_text()) if path.exists() else {}

    def provenance(self) -> dict[str, Any]:
        """Where the model comes from; empty for one that ClassLift did not make.

        Raises ModelError when the file is damaged.
        """
        path = self.entry / PROVENANCE
        try:
            return json.loads(path.read_text()) if path.exists() else {}
        except ValueError as error:
            raise ModelError(f"{path}: it is damaged ({error}); put it back.") from None

    def write_provenance(self, provenance: Mapping[str, Any]) -> None:
        """Writes where the model comes from."""
        (self.entry / PROVENANCE).write_text(json.dumps(provenance, indent=1, sort_keys=True))

    def is_recalibrated(self) -> bool:
        """Whether this is another model with other thresholds, and nothing else."""
        return bool(self.provenance().get("recipe", {}).get("recalibrate", False))

    def write_notes(self, points: Mapping[str, float], provenance: Mapping[str, Any]) -> None:
        """Writes the operating points and the provenance of a new model."""
        (self.entry / OPERATING_POINTS).write_text(json.dumps(dict(points), indent=1))
        self.write_provenance(provenance)
