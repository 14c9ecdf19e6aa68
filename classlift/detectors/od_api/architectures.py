"""The architectures of the model zoo by name."""

from collections.abc import Mapping
from typing import Any

from classlift.detectors.od_api.center_net import CenterNetDetector
from classlift.detectors.od_api.faster_rcnn import FasterRcnnDetector
from classlift.detectors.od_api.ssd import SsdDetector

ARCHITECTURES: Mapping[str, Any] = {
    kind.meta_architecture: kind for kind in (SsdDetector, FasterRcnnDetector, CenterNetDetector)
}
"""What makes a `branching.Branching` of a config and a label map, by the config's word."""
