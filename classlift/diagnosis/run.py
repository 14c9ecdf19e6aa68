"""The diagnosis from end to end: what a champion answered in, causes and a recipe out."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from classlift.errors import ConfigError, DataError
from classlift.examples.rebalanced import Rebalanced
from classlift.metrics.matching import match
from classlift.quality.relabel import FOLDER as TASKS
from classlift.quality.relabel import write_tasks
from classlift.quality.report import write_relabel_page
from classlift.quality.suspicions import pictures
from classlift.serving.bundle import THRESHOLDS_UNKNOWN, Bundle
from classlift.settings.field import Values
from classlift.settings.freeze import BRANCH_PARTS, branch_parts, is_deeper
from classlift.settings.gate import MEASURED
from classlift.settings.recipe import Recipe
from classlift.settings.targets import classes_in_words

logger = logging.getLogger(__name__)


def run(
    champion: Bundle,
    answers: Path,
    examples: Path,
    targets: Sequence[str],
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
        targets: the weak classes; several are trained together, by one recipe.
        precision: 0 to 1, at which recalls are read.
        overrides: the parts of the recipe that the user sets, and those of `DiagnosisSettings`.
        relabel_page: the HTML file to write; the folder `relabel` beside it gets the tasks.
        operating_points: one of `settings.gate.OPERATING_POINTS`, for which eval may be too small.

    Returns:
        The diagnosis of the first target, with those of the others; its recipe has the overrides.

    Raises:
        ConfigError: a part of the recipe that there isn't, a value out of its range, or several
            targets by a recipe that gives none a head of its own.
        DataError: training is not likely to help any target, and the user does not insist; or the
            Examples are damaged.

    """
    rebalanced = Rebalanced.read(examples)
    learned = trained_on(champion.provenance()) or rebalanced.boxes_old
    asked = {name: value for name, value in overrides.items() if name != "train_anyway"}
    changes = with_class_weights(asked, targets, rebalanced.boxes_after)
    found = [
        diagnose(
            champion,
            answers,
            target,
            precision,
            learned or rebalanced.boxes_before,
            rebalanced.boxes_after,
            changes,
            rebalanced,
            operating_points,
            read_units(examples),
            is_assumed=not learned,
        )
        for target in targets
    ]
    diagnosis = together(found)
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
    for one in (diagnosis, *diagnosis.beside):
        for sentence in one.sentences():
            logger.info(sentence)
    if diagnosis.overridden:
        logger.info(f"Overridden by the user: {', '.join(diagnosis.overridden)}.")
    stops = [one.stop for one in found if one.stop]
    insists = overrides.get("train_anyway") or diagnosis.recipe.recalibrate
    if len(stops) == len(found) and not insists:
        raise DataError(" ".join(stops))
    return diagnosis


def together(found: Sequence[Diagnosis]) -> Diagnosis:
    """Joins the diagnoses of targets that are trained together, by one recipe.

    It is that of the target which needs the most layers of its own. A target that training is not
    likely to help is trained beside the others, for it costs them nothing: each is judged alone.

    Args:
        found: one diagnosis for each target, whose recipes differ in the freeze policy alone.

    Returns:
        The first, with the others beside it and the doubted labels of all.

    Raises:
        ConfigError: there are several, and by the recipe none has a head of its own.

    """
    if len(found) == 1:
        return found[0]
    recipe = found[0].recipe
    for other in (one.recipe for one in found[1:]):
        if is_deeper(branch_parts(other.freeze_policy), branch_parts(recipe.freeze_policy)):
            recipe = other
    policy = recipe.freeze_policy
    if not (recipe.recalibrate or branch_parts(policy)):
        several = classes_in_words([one.weakness.target for one in found])
        raise ConfigError(
            f"Freeze policy {policy} trains all classes as one, so that {several} could not be "
            "pushed without one another: name one target, or, where the model can give a class a "
            f"head of its own, the freeze policy {' or '.join(BRANCH_PARTS)}."
        )

    def joined(one: Diagnosis) -> Diagnosis:
        reasons = list(one.reasons)
        if one.recipe.freeze_policy != policy and not recipe.chooses_depth:
            reasons.append(
                f"The classes of a run are trained by one recipe, and another of them needs the "
                f"freeze policy {policy}, so class {one.weakness.target} gets that too."
            )
        if one.stop:
            reasons.append(
                f"{one.stop} It is trained beside the others, and left out unless it is lifted."
            )
        return replace(one, reasons=tuple(reasons), recipe=recipe)

    first, *others = map(joined, found)
    doubts = dict.fromkeys(doubt for one in found for doubt in one.doubts)
    beside = [replace(o, overridden=(), rebalanced=None, doubts=()) for o in others]
    return replace(first, doubts=tuple(doubts), beside=tuple(beside))


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
    is_assumed: bool = False,
) -> Diagnosis:
    """Finds the causes of a model's weakness, and the recipe that follows.

    Args:
        model: what answered.
        answers: what `serving.detect` wrote of it, with its study of train and eval.
        target: the weak class.
        precision: 0 to 1, at which recalls are read.
        trained_on: boxes by class in what the model was trained on.
        boxes: boxes by class in what it would be trained on now, after rebalancing.
        overrides: the parts of the recipe that the user sets.
        rebalanced: what rebalancing did, in a pipeline.
        operating_points: one of `settings.gate.OPERATING_POINTS`, for which eval may be too small.
        units: the unit of an image of eval that is not its own, by image_id.
        is_assumed: whether what the model was trained on is not known, and train stands for it.

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
        is_assumed,
    )
    changes = overrides or {}
    policy = changes.get("freeze_policy")
    can = model.abilities()
    is_open = not (policy or changes.get("recalibrate"))
    is_allowed = changes.get("max_inference", Recipe.max_inference) != 1
    is_of_depth = is_open and is_allowed and can.can_branch and can.can_branch_neck
    choice = choose_recipe(
        weakness.causes,
        target,
        boxes,
        str(policy) if policy else None,
        can.can_branch,
        can.can_branch_neck,
        weakness.is_new,
        is_of_depth,
    )
    recipe = choice.recipe.override(changes)
    size = EvalSize.of(matches, target, precision, operating_points)
    return Diagnosis(
        weakness,
        tuple(choice.reasons),
        f"{choice.advice} {size.advice()}".strip(),
        choice.stop or size.stop,
        recipe if is_of_depth else recipe.override({"max_inference": 1.0}),
        tuple(sorted(changes)),
        rebalanced,
        tuple(labels_to_look_at(weakness, predictions)),
    )
