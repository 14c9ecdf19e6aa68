"""Writing model bundles."""

from pathlib import Path

from classlift.detectors.detector import Detector
from classlift.detectors.export import Serving
from classlift.serving.abilities import Abilities
from classlift.serving.bundle import (
    DEFAULT_THRESHOLD,
    OPERATING_POINTS,
    Bundle,
    read_operating_points,
)


def write_bundle(detector: Detector, serving: Serving, saved_model: Path) -> Bundle:
    """Writes a detector's signatures, and its weights beside them."""
    serving.write(saved_model)
    bundle = Bundle(saved_model)
    write_entry(detector, bundle)
    return bundle


def write_entry(detector: Detector, bundle: Bundle) -> None:
    """Writes a detector's weights, and what it can do, into a bundle."""
    detector.save(bundle.entry)
    can = Abilities(
        detector.can_branch,
        detector.can_branch_neck,
        detector.smallest_object,
        tuple(detector.unanswered),
    )
    can.write(bundle.entry)


def import_entry(detector: Detector, entry: Path, saved_model: Path) -> Bundle:
    """A bundle of a model that the user brings, with the notes that it has."""
    bundle = write_bundle(detector, Serving(detector), saved_model)
    path = entry / OPERATING_POINTS
    if path.exists():
        new = detector.unanswered
        points = read_operating_points(path, [c for c in detector.label_map if c not in new])
        bundle.write_operating_points({**dict.fromkeys(new, DEFAULT_THRESHOLD), **points})
    return bundle
