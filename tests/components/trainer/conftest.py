"""The detector's fixtures."""

from tests.components.detectors.conftest import detector, examples

__all__ = ["detector", "examples"]
