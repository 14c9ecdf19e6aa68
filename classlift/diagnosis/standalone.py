"""The diagnosis without a pipeline: any model, any labels, no training."""

import logging
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.compute as pc

from classlift.data.label_map import LabelMap, quoted
from classlift.data.media import read_bytes
from classlift.data.snapshot import Snapshot, with_names
from classlift.data.units import find_units
from classlift.detectors.backends import backend_of
from classlift.diagnosis.diagnosis import Diagnosis
from classlift.diagnosis.report import write_page
from classlift.diagnosis.run import diagnose
from classlift.errors import DataError
from classlift.examples.write import write_examples
from classlift.quality.relabel import FOLDER as TASKS
from classlift.quality.relabel import write_tasks
from classlift.quality.suspicions import SHOWN, pictures
from classlift.serving.asked import bundle_of, own_label_map
from classlift.serving.bundle import THRESHOLDS_UNKNOWN
from classlift.serving.detect import detect
from classlift.settings.rebalancing import Rebalancing

logger = logging.getLogger(__name__)

PAGE = "diagnosis.html"


def diagnose_model(
    model: Path,
    snapshot: Snapshot,
    target: str,
    precision: float,
    folder: Path,
    label_map: Path | None = None,
    is_assumed: bool = True,
) -> Diagnosis:
    """Diagnoses a model on a data set of the user's.

    Writes `diagnosis.json`, `diagnosis.html`, and the labels that the model doubts as tasks of
    labelling tools.

    Args:
        model: a folder that a backend trains, a version that ClassLift served, or a SavedModel that
            the OD API exported.
        snapshot: the model is judged on its `eval` images, and was trained on those of `train`, or
            on some like them.
        target: the weak class.
        precision: 0 to 1, at which recalls are read.
        folder: to write into.
        label_map: of the model; None is the one that it brings.
        is_assumed: whether `train` merely stands for what the model was trained on.

    Returns:
        The diagnosis that is written.

    Raises:
        ModelError: the model can't be read.
        DataError: it does not have the class, or `eval` does not show it.

    """
    backend = backend_of(model)
    labels = LabelMap.read(own_label_map(model, backend, label_map))
    target = labels.renamed.get(target, target)
    snapshot = replace(snapshot, boxes=with_names(snapshot.boxes, labels.renamed))
    if target not in labels:
        raise DataError(
            f"{model}: no class is called {quoted(target)}; it has: {labels.instead_of(target)}."
        )
    if target not in _boxes(snapshot, "eval"):
        raise DataError(
            f"The images to judge by show no object of class {target}: label some, or give more "
            "images."
        )
    with TemporaryDirectory(prefix="classlift-") as work:
        bundle = bundle_of(model, backend, label_map, Path(work) / "model")
        if not bundle.brings_operating_points():
            logger.warning(THRESHOLDS_UNKNOWN)
        examples, answers = Path(work) / "examples", Path(work) / "answers"
        write_examples(snapshot, labels, Rebalancing(method="none"), examples)
        detect(bundle.saved_model, examples, ("eval",), answers, study=True)
        logger.info("looking for the cause")
        trained_on = _boxes(snapshot, "train")
        diagnosis = diagnose(
            bundle,
            answers,
            target,
            precision,
            trained_on,
            trained_on,
            units=find_units(snapshot.images).of_image,
            is_assumed=is_assumed,
        )
    doubts = tuple(doubt for doubt in diagnosis.doubts if target in (doubt.label, doubt.detected))
    diagnosis = replace(diagnosis, doubts=doubts)
    uris = dict(zip(*(snapshot.images[c].to_pylist() for c in ("image_id", "uri")), strict=True))
    faces = pictures(doubts[:SHOWN], lambda image_id: read_bytes(uris[image_id]))
    folder.mkdir(parents=True, exist_ok=True)
    write_page(folder / PAGE, diagnosis, faces)
    shutil.rmtree(folder / TASKS, ignore_errors=True)
    write_tasks(folder / TASKS, doubts, snapshot.boxes, uris, labels.names)
    diagnosis.write(folder)
    return diagnosis


def _boxes(snapshot: Snapshot, split: str) -> dict[str, int]:
    """Boxes by class of one split."""
    images = snapshot.images.filter(pc.equal(snapshot.images["split"], split))["image_id"]
    of_split = snapshot.boxes.filter(pc.is_in(snapshot.boxes["image_id"], images.combine_chunks()))
    return dict(sorted(Counter(of_split["label"].to_pylist()).items()))


def judged_on_the_rest(snapshot: Snapshot) -> Snapshot:
    """The same labels with what the splits keep for a last test given to `eval`."""
    splits = snapshot.images["split"]
    return snapshot.with_splits(pc.if_else(pc.equal(splits, "test"), "eval", splits))
