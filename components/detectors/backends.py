"""The detector backends by name. A new backend is a folder, and two lines here.

This module imports no TensorFlow: the environment must be right before that is done.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from components.detectors import keras_hub, od_api
from components.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from components.detectors.detector import Detector

ENVIRONMENTS: Mapping[str, Mapping[str, str]] = {
    "od_api": od_api.ENVIRONMENT,
    "keras_hub": keras_hub.ENVIRONMENT,
}
"""What a process needs in its environment before it imports TensorFlow, by backend."""

NAMES = tuple(ENVIRONMENTS)


def backend_of(model: Path) -> str | None:
    """The backend of a folder that holds a model to train; None for a SavedModel.

    Raises ModelError for a folder that is neither.
    """
    for backend, file in (("od_api", "pipeline.config"), ("keras_hub", "model.keras")):
        if (model / file).is_file():
            return backend
    if (model / "saved_model.pb").is_file():
        return None
    raise ModelError(
        f"{model}: there is no pipeline.config, no model.keras and no saved_model.pb; give the "
        "folder of a model."
    )


def load_detector(backend: str, folder: Path) -> "Detector":
    """Loads a model on disk with the backend that the config names.

    Raises ModelError for a folder that is not a model of this backend.
    """
    if backend == "od_api":
        from components.detectors.od_api.faster_rcnn import FasterRcnnDetector
        from components.detectors.od_api.ssd import SsdDetector
        from components.detectors.od_api.zoo_entry import CONFIG, read_config

        found = read_config(folder).model.WhichOneof("model")
        for kind in (SsdDetector, FasterRcnnDetector):
            if found == kind.meta_architecture:
                return kind.load(folder)
        raise ModelError(
            f"{folder / CONFIG}: the model is {found or 'missing'}; this version of ClassLift "
            "fine-tunes ssd and faster_rcnn."
        )
    if backend == "keras_hub":
        from components.detectors.keras_hub.detectors import load

        return load(folder)
    raise ConfigError(f"There is no detector backend {backend!r}; there are: {', '.join(NAMES)}.")
