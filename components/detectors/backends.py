"""The detector backends by name. A new backend is a folder and a line in `load_detector`."""

from pathlib import Path

from components.detectors.detector import Detector
from components.errors import ConfigError

NAMES = ("od_api",)


def load_detector(backend: str, folder: Path) -> Detector:
    """Loads a model on disk with the backend that the config names."""
    if backend == "od_api":
        from components.detectors.od_api.detector import OdApiDetector

        return OdApiDetector.load(folder)
    raise ConfigError(f"There is no detector backend {backend!r}; there are: {', '.join(NAMES)}.")
