"""Two models side by side on labelled images, without a pipeline: the gate's table and verdict."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from classlift.data.formats.coco import find
from classlift.data.formats.coco_results import read_coco_results
from classlift.data.predictions import Predictions
from classlift.data.snapshot import Snapshot
from classlift.data.splits import HELD_OUT as EVAL_OR_TEST
from classlift.data.splits import stratify
from classlift.data.units import find_units
from classlift.errors import ConfigError, DataError
from classlift.gate.evidence import ModelPredictions, common_label_map
from classlift.gate.predictions import Origin, gate_predictions
from classlift.gate.verdict import Verdict
from classlift.serving.asked import Answers, ask
from classlift.settings.gate import GateSettings

HALF = (
    "Score thresholds were chosen on one half of the images, and both models are judged on the "
    "other."
)


def compare_models(
    old: Path,
    new: Path,
    snapshot: Snapshot,
    target: str,
    settings: GateSettings,
    label_map: Path | None = None,
) -> Verdict:
    """Asks two models about labelled images, and gives the gate's verdict on the second.

    Args:
        old: the model in production, as `ask` takes it.
        new: the other one.
        snapshot: labels that neither was trained on. Where one split alone has images, half of them
            are for choosing thresholds, as `halved` parts them.
        target: the class that the second is to find better.
        settings: what the gate asks.
        label_map: of models that have none.

    Returns:
        The verdict; nothing is written.

    Raises:
        ModelError: a model can't be read.
        DataError: a label is no class of theirs.
        EvaluationError: their classes differ, none is called as the target, or test shows none.

    """
    notes = []
    if len(snapshot.images["split"].unique()) == 1:
        snapshot = halved(snapshot)
        notes.append(HALF)
    before, after = ask(old, snapshot, label_map), ask(new, snapshot, label_map)
    labels = common_label_map(before.labels, after.labels)
    return gate_predictions(
        _of_both_splits(before),
        _of_both_splits(after),
        labels.renamed.get(target, target),
        settings,
        labels=labels.names,
        champion_thresholds=before.thresholds,
        units=find_units(snapshot.images),
        origin=Origin(str(old)),
        notes=notes,
    ).verdict


def compare_results(
    old: Path, new: Path, data: Path, target: str, settings: GateSettings
) -> Verdict:
    """Gives the gate's verdict on the second of two files of COCO results.

    Args:
        old: of the model in production.
        new: of the other one.
        data: the COCO labels of the same images, or a folder with one such file.
        target: the class that the second is to find better.
        settings: what the gate asks.

    Returns:
        The verdict; nothing is written.

    Raises:
        ConfigError: the folder has none, or several files of labels.
        DataError: a file can't be read.
        EvaluationError: no class is called as the target, or the half to judge by shows none.

    """
    found = [place.path for place in find(data)] if data.is_dir() else [data]
    if len(found) != 1:
        names = ", ".join(str(path) for path in found[:5]) or "none"
        raise ConfigError(f"{data}: COCO results need one file of COCO labels; found: {names}.")
    before, after = (read_coco_results(found[0], path) for path in (old, new))
    split = _halves(dict.fromkeys(before.image_ids, ""), before.boxes)
    models = [
        ModelPredictions(_part(found, split, "eval"), _part(found, split, "test"))
        for found in (before, after)
    ]
    return gate_predictions(
        models[0],
        models[1],
        target,
        settings,
        origin=Origin(str(old)),
        notes=[HALF],
    ).verdict


def halved(snapshot: Snapshot) -> Snapshot:
    """The labels with one half of the images in eval and one in test.

    Args:
        snapshot: labels, of whatever splits.

    Returns:
        The same labels. What is one sample, as `find_units` tells, stays in one half; each class is
        in both in about equal parts.

    """
    ids = snapshot.images["image_id"].to_pylist()
    units = find_units(snapshot.with_splits(pa.array(["test"] * len(ids))).images).of_image
    split = _halves({image: units[image] for image in ids}, snapshot.boxes)
    return snapshot.with_splits(pa.array([split[image] for image in ids]))


def _halves(unit_of: Mapping[str, str], boxes: pa.Table) -> dict[str, str]:
    """The split of each image, `eval` or `test`; an image without a unit is its own."""
    names = {image: unit or image for image, unit in unit_of.items()}
    units = {name: number for number, name in enumerate(sorted(set(names.values())))}
    labels = {label: n for n, label in enumerate(sorted(boxes["label"].unique().to_pylist()))}
    sizes = np.zeros(len(units), np.int64)
    counts = np.zeros((len(units), len(labels)), np.int64)
    for name in names.values():
        sizes[units[name]] += 1
    pairs = zip(boxes["image_id"].to_pylist(), boxes["label"].to_pylist(), strict=True)
    for image, label in pairs:
        counts[units[names[image]], labels[label]] += 1
    chosen = stratify(list(units), sizes, counts, np.full(len(units), EVAL_OR_TEST))
    return {image: ("train", "eval", "test")[chosen[units[name]]] for image, name in names.items()}


def _part(found: Predictions, split: Mapping[str, str], wanted: str) -> Predictions:
    """The predictions on the images of one split."""
    ids = tuple(image for image in found.image_ids if split[image] == wanted)
    chosen = pa.array(ids, pa.string())
    boxes, detections = (
        table.filter(pc.is_in(table["image_id"], chosen))
        for table in (found.boxes, found.detections)
    )
    return Predictions(ids, boxes, detections)


def _of_both_splits(answers: Answers) -> ModelPredictions:
    missing = {"eval", "test"} - answers.predictions.keys()
    if missing:
        raise DataError(f"No image is left for {missing.pop()}: give more images.")
    return ModelPredictions(answers.predictions["eval"], answers.predictions["test"])


def is_results(path: Path) -> bool:
    """Whether a path is that of COCO results, and not of a model."""
    return os.path.isfile(path)
