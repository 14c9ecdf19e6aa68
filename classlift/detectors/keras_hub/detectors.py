"""The detectors of KerasHub that can be fine-tuned, by the class of the model in the file."""

from pathlib import Path

import keras

from classlift.data.label_map import LabelMap
from classlift.detectors.keras_hub.branching import Branched
from classlift.detectors.keras_hub.d_fine import DFineDetector
from classlift.detectors.keras_hub.model_folder import (
    LABEL_MAP,
    MODEL,
    KerasHubDetector,
    read_model,
)
from classlift.detectors.keras_hub.retinanet import RetinaNetDetector
from classlift.errors import ModelError

KINDS: tuple[type[KerasHubDetector], ...] = (RetinaNetDetector, DFineDetector)


def load(folder: Path) -> Branched:
    """Loads a model with its label map. Raises ModelError when it is none that is known here."""
    path = folder / MODEL
    model = read_model(path)
    label_map = LabelMap.read(folder / LABEL_MAP)
    return Branched.of(kind_of(model, path), model, label_map, folder)


def kind_of(model: keras.Model, source: object) -> type[KerasHubDetector]:
    """The detector for a model. Raises ModelError, which names the source, when there is none."""
    for kind in KINDS:
        if isinstance(model, kind.kind):
            return kind
    raise ModelError(
        f"{source}: the model is a {type(model).__name__}; this version of ClassLift fine-tunes "
        f"{' and '.join(kind.kind.__name__ for kind in KINDS)} of KerasHub."
    )
