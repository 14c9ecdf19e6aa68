"""Score thresholds for any detector: the lowest at which each class has a precision."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from classlift.data.snapshot import Snapshot
from classlift.data.units import find_units
from classlift.detectors.backends import backend_of
from classlift.errors import ConfigError
from classlift.metrics.curves import NEVER, precision_at, recall_at
from classlift.metrics.matching import match
from classlift.metrics.thresholds import lowest_point
from classlift.serving.asked import ask
from classlift.serving.bundle import DEFAULT_THRESHOLD, ENTRY, OPERATING_POINTS
from classlift.serving.manifest import Manifest
from classlift.settings.gate import GUARANTEED, GateSettings


@dataclass(frozen=True)
class Calibrated:
    """The score threshold of one class, and what it gives on the labels that chose it.

    Attributes:
        label: the class.
        objects: labelled objects; boxes of crowds are none.
        threshold: score threshold, 0 to 1.
        precision: at the threshold; NaN without a detection.
        recall: at the threshold; NaN without an object.
        hole: why the precision was not reached, in words; None where it was. Then the threshold is
            the one that the model had.

    """

    label: str
    objects: int
    threshold: float
    precision: float
    recall: float
    hole: str | None


def file_of(model: Path) -> Path:
    """The file of a model's score thresholds, where all of ClassLift looks for it.

    Args:
        model: a folder to train, or a SavedModel.

    Returns:
        The path of its `operating_points.json`; there may be none.

    Raises:
        ModelError: it is no model.
        ConfigError: it is a version that ClassLift served, of which no file is changed.

    """
    folder = model if backend_of(model) else model / ENTRY
    if Manifest.read(model) is not None:
        raise ConfigError(
            f"{model}: ClassLift served this version at the thresholds that its gate judged, and "
            "no file of it is changed: run the pipeline with recalibrate, or calibrate a copy "
            "without its manifest."
        )
    return folder / OPERATING_POINTS


def calibrate(
    model: Path, snapshot: Snapshot, settings: GateSettings, label_map: Path | None = None
) -> list[Calibrated]:
    """Chooses the score threshold of each class; writes nothing.

    Args:
        model: as `ask` takes it.
        snapshot: labels that it was not trained on.
        settings: of the gate; the precision, and how sure it is to be.
        label_map: of a model that has none.

    Returns:
        A threshold for each class of the model.

    Raises:
        ModelError: the model can't be read.
        DataError: a label is no class of the model.

    """
    on_eval = snapshot.with_splits(pa.array(["eval"] * snapshot.images.num_rows))
    answers = ask(model, on_eval, label_map)
    found = answers.predictions["eval"]
    units = find_units(on_eval.images).of_image
    matches = match(
        found.boxes,
        found.detections,
        found.image_ids,
        answers.labels.names,
        [units[image_id] for image_id in found.image_ids],
    )
    objects = matches.objects["label"].value_counts()
    before = answers.thresholds or dict.fromkeys(answers.labels, DEFAULT_THRESHOLD)
    points, holes = dict(before), dict.fromkeys(before, "")
    for label in answers.labels:
        point = lowest_point(matches, label, settings)
        if not objects.get(label, 0):
            holes[label] = "no object"
        elif point == NEVER:
            how = "guaranteed" if settings.operating_points == GUARANTEED else "reached"
            holes[label] = f"{settings.precision:g} not {how}"
        else:
            points[label] = point
    recalls = recall_at(matches, points)
    return [
        Calibrated(
            label=label,
            objects=int(objects.get(label, 0)),
            threshold=float(points[label]),
            precision=precision_at(matches, label, points[label]),
            recall=recalls[label],
            hole=holes[label] or None,
        )
        for label in answers.labels
    ]
