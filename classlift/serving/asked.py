"""Any model asked about labelled images, without a pipeline."""

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc

from classlift.data.label_map import LabelMap, quoted
from classlift.data.predictions import Predictions
from classlift.data.snapshot import Snapshot
from classlift.detectors.backends import backend_of, label_map_of, load_detector
from classlift.errors import DataError, ModelError
from classlift.progress import without_stderr
from classlift.serving.bundle import ENTRY, LABEL_MAP, Bundle

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answers:
    """What a model says of images.

    Attributes:
        labels: its label map.
        thresholds: its score thresholds in production, by class; None where it brings none.
        predictions: by split.

    """

    labels: LabelMap
    thresholds: Mapping[str, float] | None
    predictions: Mapping[str, Predictions]


def ask(model: Path, snapshot: Snapshot, label_map: Path | None = None) -> Answers:
    """Asks a model about all images of a snapshot.

    Args:
        model: a folder that a backend trains, a version that ClassLift served, or a SavedModel that
            the OD API exported.
        snapshot: the labels, by either name of the model's classes.
        label_map: of a model that has none, or another one.

    Returns:
        The answers, for each split that has images.

    Raises:
        ModelError: the model can't be read.
        DataError: it has no label map, or a label is none of its classes.

    """
    backend = backend_of(model)
    labels = LabelMap.read(own_label_map(model, backend, label_map))
    snapshot = snapshot.with_names(labels.renamed)
    require_known(model, labels, snapshot)
    with TemporaryDirectory(prefix="classlift-") as work:
        bundle = bundle_of(model, backend, label_map, Path(work) / "model")
        thresholds = bundle.operating_points() if bundle.brings_operating_points() else None
        with without_stderr():  # what TensorFlow says before its log level counts
            from classlift.detectors.predict import load_signature, predict_images
        logger.info(f"asking {model}")
        detections = predict_images(load_signature(bundle.saved_model), snapshot.images, labels)
    splits = snapshot.images["split"].unique().to_pylist()
    return Answers(labels, thresholds, {s: _of_split(s, snapshot, detections) for s in splits})


def _of_split(split: str, snapshot: Snapshot, detections: pa.Table) -> Predictions:
    images = snapshot.images.filter(pc.equal(snapshot.images["split"], split))
    ids = images["image_id"].combine_chunks()
    boxes, found = (t.filter(pc.is_in(t["image_id"], ids)) for t in (snapshot.boxes, detections))
    return Predictions(tuple(ids.to_pylist()), boxes, found)


def require_known(model: Path, labels: LabelMap, snapshot: Snapshot) -> None:
    """Raises DataError for labels that are none of the model's classes."""
    for label in snapshot.boxes["label"].unique().to_pylist():
        if label not in labels:
            raise DataError(
                f"{model}: labels are called {quoted(label)}, and the model has: "
                f"{labels.instead_of(label)}; name its classes by --label-map."
            )


def own_label_map(model: Path, backend: str | None, label_map: Path | None) -> Path:
    """The file of a model's label map.

    Args:
        model: its folder.
        backend: of a folder to train; None for a SavedModel.
        label_map: the one that is given, if any.

    Returns:
        The one that is given, or the model's own.

    Raises:
        ModelError: there is none.

    """
    if label_map is not None:
        return label_map
    if backend is not None:
        return label_map_of(backend, model)
    own = model / ENTRY / LABEL_MAP
    if not own.is_file():
        raise ModelError(f"{model}: {own.name} is missing; give its label map.")
    return own


def bundle_of(
    model: Path,
    backend: str | None,
    label_map: Path | None,
    saved_model: Path,
) -> Bundle:
    """A model as a bundle: itself where it is one, else made of it.

    Args:
        model: its folder.
        backend: of a folder to train; None for a SavedModel.
        label_map: another one than its own.
        saved_model: the folder to make, where one is needed.

    Returns:
        The bundle.

    Raises:
        ModelError: the model can't be read.

    """
    if backend is not None:
        from classlift.serving.write import import_entry

        logger.info(f"loading {model}")
        if label_map is not None:
            model = _with_label_map(model, label_map, saved_model.with_name("entry"))
        return import_entry(load_detector(backend, model), model, saved_model)
    if label_map is None:
        return Bundle(model)
    shutil.copytree(model, saved_model)
    (saved_model / ENTRY).mkdir(exist_ok=True)
    shutil.copy(label_map, saved_model / ENTRY / LABEL_MAP)
    return Bundle(saved_model)


def _with_label_map(model: Path, label_map: Path, folder: Path) -> Path:
    """A folder with links to a model's files, and another label map."""
    folder.mkdir()
    for path in model.iterdir():
        if path.name != LABEL_MAP:
            (folder / path.name).symlink_to(path.resolve())
    shutil.copy(label_map, folder / LABEL_MAP)
    return folder
