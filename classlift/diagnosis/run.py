"""The diagnosis from end to end: what a champion answered in, causes and a recipe out."""

import logging
from collections.abc import Mapping
from pathlib import Path

from classlift import own_folders
from classlift.data.examples import example_files
from classlift.data.formats.tfrecord import encoded_images
from classlift.data.predictions import Predictions
from classlift.data.units import read_units
from classlift.diagnosis.diagnosis import Diagnosis
from classlift.diagnosis.eval_size import EvalSize
from classlift.diagnosis.recipes import choose_recipe
from classlift.diagnosis.weakness import find_weakness, labels_to_look_at, read_objects, trained_on
from classlift.diagnosis.weighting import with_class_weights
from classlift.errors import DataError
from classlift.examples.rebalanced import Rebalanced
from classlift.metrics.matching import match
from classlift.quality.relabel import FOLDER as TASKS
from classlift.quality.relabel import write_tasks
from classlift.quality.report import write_relabel_page
from classlift.quality.suspicions import pictures
from classlift.serving.bundle import THRESHOLDS_UNKNOWN, Bundle
from classlift.settings.field import Values
from classlift.settings.gate import MEASURED

logger = logging.getLogger(__name__)


def run(
    champion: Bundle,
    answers: Path,
    examples: Path,
    target: str,
    precision: float,
    overrides: Values,
    relabel_page: Path,
    operating_points: str,
) -> Diagnosis:
    """Diagnoses the champion of a pipeline; says it, and writes the page of doubted labels.

    Args:
        champion: the model in production.
        answers: what `serving.detect` wrote of it, with its study of train and eval.
        examples: folder of the Examples that it answered for, and that the challenger will learn.
        target: the weak class.
        precision: 0 to 1, at which recalls are read.
        overrides: the parts of the recipe that the user sets, and those of `DiagnosisSettings`.
        relabel_page: the HTML file to write; the folder `relabel` beside it gets the tasks.
        operating_points: one of `settings.gate.OPERATING_POINTS`, for which eval may be too small.

    Returns:
        The diagnosis, whose recipe has the overrides.

    Raises:
        ConfigError: a part of the recipe that there isn't, or a value out of its range.
        DataError: training is not likely to help, and the user does not insist; or the Examples are
            damaged.

    """
    rebalanced = Rebalanced.read(examples)
    diagnosis = diagnose(
        champion,
        answers,
        target,
        precision,
        trained_on(champion.provenance()) or rebalanced.boxes_old or rebalanced.boxes_before,
        rebalanced.boxes_after,
        {name: value for name, value in overrides.items() if name != "train_anyway"},
        rebalanced,
        operating_points,
        read_units(examples),
    )
    doubts = diagnosis.doubts
    doubted = {doubt.image_id for doubt in doubts}
    encoded = encoded_images(example_files(examples, "eval"), doubted)
    write_relabel_page(relabel_page, doubts, pictures(doubts, encoded.__getitem__))
    tasks = own_folders.clear(relabel_page.with_name(TASKS), own_folders.RELABEL)
    boxes = Predictions.read(answers / "eval").boxes
    write_tasks(tasks, doubts, boxes, encoded, champion.label_map().names)
    logger.info(f"{len(doubts)} labels of eval to look at again: {relabel_page}")
    if not champion.brings_operating_points():
        logger.warning(THRESHOLDS_UNKNOWN)
    for sentence in diagnosis.sentences():
        logger.info(sentence)
    if diagnosis.overridden:
        logger.info(f"Overridden by the user: {', '.join(diagnosis.overridden)}.")
    if diagnosis.stop and not (overrides.get("train_anyway") or diagnosis.recipe.recalibrate):
        raise DataError(diagnosis.stop)
    return diagnosis


def diagnose(
    model: Bundle,
    answers: Path,
    target: str,
    precision: float,
    trained_on: Mapping[str, int],
    boxes: Mapping[str, int],
    overrides: Values | None = None,
    rebalanced: Rebalanced | None = None,
    operating_points: str = MEASURED,
    units: Mapping[str, str] | None = None,
) -> Diagnosis:
    """Finds the causes of a model's weakness, and the recipe that follows.

    Args:
        model: what answered.
        answers: what `serving.detect` wrote of it, with its study of train and eval.
        target: the weak class.
        precision: 0 to 1, at which recalls are read.
        trained_on: boxes by class in what the model was trained on.
        boxes: boxes by class in what it would be trained on now, after rebalancing.
        overrides: the parts of the recipe that the user sets, with `class_weight` and
            `class_weighting`.
        rebalanced: what rebalancing did, in a pipeline.
        operating_points: one of `settings.gate.OPERATING_POINTS`, for which eval may be too small.
        units: the unit of an image of eval that is not its own, by image_id.

    Returns:
        The diagnosis, whose recipe has the overrides.

    """
    predictions = Predictions.read(answers / "eval")
    of_image = units or {}
    matches = match(
        predictions.boxes,
        predictions.detections,
        predictions.image_ids,
        model.label_map().names,
        [of_image.get(image_id, image_id) for image_id in predictions.image_ids],
    )
    weakness = find_weakness(
        matches,
        target,
        precision,
        model.operating_points(),
        trained_on,
        read_objects(answers),
        model.abilities().smallest_object,
        target in model.abilities().unanswered,
    )
    changes = with_class_weights(overrides or {}, target, boxes)
    policy = changes.get("freeze_policy")
    choice = choose_recipe(
        weakness.causes,
        target,
        boxes,
        str(policy) if policy else None,
        model.abilities().can_branch,
        model.abilities().can_branch_neck,
        weakness.is_new,
    )
    size = EvalSize.of(matches, target, precision, operating_points)
    return Diagnosis(
        weakness,
        tuple(choice.reasons),
        f"{choice.advice} {size.advice()}".strip(),
        choice.stop or size.stop,
        choice.recipe.override(changes),
        tuple(sorted(changes)),
        rebalanced,
        tuple(labels_to_look_at(weakness, predictions)),
    )
