"""The detector backends by name. A new backend is a folder and a line in `load_detector`."""

from pathlib import Path

from components.detectors.detector import Detector
from components.errors import ConfigError, ModelError

NAMES = ("od_api",)


def load_detector(backend: str, folder: Path) -> Detector:
    """Loads a model on disk with the backend that the config names."""
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
    raise ConfigError(f"There is no detector backend {backend!r}; there are: {', '.join(NAMES)}.")
