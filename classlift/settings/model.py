"""The settings of the pre-trained model."""

from dataclasses import dataclass
from pathlib import Path

from classlift.settings.field import REQUIRED, setting

BACKENDS = ("od_api", "keras_hub")
"""The detector backends; `classlift.detectors.backends` has the code of each."""


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """The pre-trained model."""

    path: Path = setting(
        REQUIRED, "Path", "The folder of the model: the champion until one is pushed."
    )
    backend: str = setting(BACKENDS[0], "Backend", "What loads the model.", choices=BACKENDS)
