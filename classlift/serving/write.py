"""Writing model bundles."""

import shutil
from pathlib import Path

from classlift.detectors.detector import Detector
from classlift.detectors.export import Serving
from classlift.serving.abilities import Abilities
from classlift.serving.bundle import OPERATING_POINTS, Bundle


def write_bundle(detector: Detector, serving: Serving, saved_model: Path) -> Bundle:
    """Writes a detector's signatures, and its weights beside them."""
    serving.write(saved_model)
    bundle = Bundle(saved_model)
    detector.save(bundle.entry)
    Abilities(detector.can_branch, detector.smallest_object).write(bundle.entry)
    return bundle


def import_entry(detector: Detector, entry: Path, saved_model: Path) -> Bundle:
    """A bundle of a model that the user brings, with the notes that it has."""
    bundle = write_bundle(detector, Serving(detector), saved_model)
    if (entry / OPERATING_POINTS).exists():
        shutil.copy(entry / OPERATING_POINTS, bundle.entry)
    return bundle
