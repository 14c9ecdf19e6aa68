"""What a training run does: the champion is fine-tuned by a recipe and becomes the challenger."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import tensorflow as tf

from classlift.data import kept_splits
from classlift.data.examples import example_files
from classlift.data.label_map import LabelMap
from classlift.data.units import read_units
from classlift.detectors.backends import load_detector
from classlift.detectors.detector import Detector
from classlift.detectors.export import Serving
from classlift.errors import ConfigError
from classlift.examples.rebalanced import Rebalanced
from classlift.records import JsonObject
from classlift.serving.bundle import Bundle
from classlift.serving.provenance import Provenance
from classlift.serving.write import write_bundle
from classlift.settings.freeze import BRANCH_PARTS, branch_parts
from classlift.settings.gate import GateSettings
from classlift.settings.recipe import Recipe
from classlift.settings.targets import classes_in_words
from classlift.text import shown
from classlift.training.checkpoints import Checkpoints
from classlift.training.depths import TRIALS, Trials, can_try
from classlift.training.devices import compute_in_half, make_reproducible, strategy_for
from classlift.training.evaluation import Evaluator
from classlift.training.fit import Batches, fit
from classlift.training.hooks.board import Board
from classlift.training.hooks.keep_best import KeepBest
from classlift.training.hooks.resume import Resume
from classlift.training.input import training_batches
from classlift.training.loop import Hook, TrainingResult
from classlift.training.step import Teacher
from classlift.training.thresholds import thresholds_to_serve
from classlift.training.trials import Judge, find_depth

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingTask:
    """What is trained, of what, and where to.

    Attributes:
        backend: the detector's.
        targets: the classes to raise.
        settings: of the gate. Recall is read at their precision on eval when weights are chosen,
            also where the score threshold is fixed: at that, the checkpoint that shouts most would
            win.
        examples: the folder of the splits.
        challenger: the folder of its SavedModel.
        board: of TensorBoard's event files.
        work: of checkpoints until training has ended, and of features for the next one.
        hooks: of the caller, who follows the training.
        code_version: of the code that trains.
        thresholds: the settings by which score thresholds are chosen.

    """

    recipe: Recipe
    backend: str
    targets: tuple[str, ...]
    settings: GateSettings
    champion: Path
    examples: Path
    challenger: Path
    board: Path
    work: Path
    code_version: str
    thresholds: JsonObject
    hooks: tuple[Hook, ...] = ()


def run(task: TrainingTask) -> Bundle:
    """Trains the challenger and writes its bundle; with `recalibrate`, only another threshold.

    The same seed gives the same weights on CPUs of the same kind (`make_reproducible`). Killed and
    started again, it goes on from the last checkpoint.

    Args:
        task: what is to be trained, of what, and where to.

    Returns:
        The challenger's bundle.

    """
    champion = Bundle(task.champion)
    _require_branch_for_new(task, champion)
    provenance = Provenance(
        targets=task.targets,
        code_version=task.code_version,
        champion=champion.provenance(),
        thresholds=task.thresholds,
        **asdict(Rebalanced.read(task.examples).data),
    )
    if task.recipe.recalibrate:
        several = classes_in_words(task.targets)
        logger.info(f"nothing is trained: choosing the threshold of {several} on eval")
        points = _thresholds(task, champion, champion)
        shutil.copytree(champion.saved_model, task.challenger)
        bundle = Bundle(task.challenger)
        bundle.write_notes(points, replace(provenance, recipe=task.recipe.to_dict()))
        kept_splits.hand_on(task.examples, bundle.entry)
        return bundle
    strategy = strategy_for(task.recipe.device)
    make_reproducible(task.recipe.seed)
    tried = _checkpoints(task, "trials")
    trials = _try_depths(task, champion, strategy, tried)
    if trials is not None:
        task = replace(task, recipe=task.recipe.override({"freeze_policy": trials.chosen}))
    checkpoints = _checkpoints(task, "checkpoints")
    bundle, result = _train(task, champion, strategy, checkpoints)
    points = _thresholds(task, champion, bundle)
    training: JsonObject = {**vars(result), **({TRIALS: trials.to_json()} if trials else {})}
    recipe = task.recipe.to_dict()
    bundle.write_notes(points, replace(provenance, recipe=recipe, training=training))
    kept_splits.hand_on(task.examples, bundle.entry)
    for kept in (checkpoints, tried):
        kept.clear()
    return bundle


def _try_depths(
    task: TrainingTask,
    champion: Bundle,
    strategy: tf.distribute.Strategy,
    kept: Checkpoints,
) -> Trials | None:
    """Tries how deep a branch should begin, where the recipe asks for it.

    Returns:
        What was found, also by a run that was killed since; None where nothing is to be tried.

    """
    recipe = task.recipe
    if not (branch_parts(recipe.freeze_policy) and can_try(recipe)):
        return None
    known = kept.load()
    if known is not None:
        _, notes = known
        return Trials.read(notes.part(TRIALS)) if notes.has(TRIALS) else None
    with strategy.scope(), compute_in_half(recipe.mixed_precision):
        detector = load_detector(task.backend, champion.entry)
        trials = find_depth(
            lambda own: prepare(task.backend, champion.entry, task.targets, own)[0],
            detector,
            _batches(task, detector, champion.label_map()),
            recipe,
            Judge(example_files(task.examples, "eval"), task.targets, read_units(task.examples)),
        )
    make_reproducible(recipe.seed)  # what is trained now is what it would be without trials
    for sentence in trials.sentences() if trials else []:
        logger.info(sentence)
    kept.save(0, {}, {TRIALS: trials.to_json()} if trials else {})
    return trials


def _batches(task: TrainingTask, detector: Detector, labels: LabelMap) -> Batches:
    """What training is shown, from a step on."""
    return partial(
        training_batches,
        example_files(task.examples, "train"),
        detector.frame,
        labels,
        task.recipe,
        targets=task.targets if branch_parts(task.recipe.freeze_policy) else (),
    )


def _thresholds(task: TrainingTask, champion: Bundle, challenger: Bundle) -> dict[str, float]:
    return thresholds_to_serve(
        example_files(task.examples, "eval"),
        read_units(task.examples),
        task.recipe,
        task.settings,
        frozenset(task.targets),
        champion,
        challenger,
    )


def _require_branch_for_new(task: TrainingTask, champion: Bundle) -> None:
    """Raises ConfigError for a recipe by which a new class can't be learned."""
    recipe = task.recipe
    new = [target for target in task.targets if target in champion.abilities().unanswered]
    if new and (recipe.recalibrate or not branch_parts(recipe.freeze_policy)):
        chosen = "recalibrate" if recipe.recalibrate else f"freeze_policy {recipe.freeze_policy}"
        raise ConfigError(
            f"Class {shown(new[0])} is new to the model, and {chosen} gives it nothing that "
            f"could detect it; choose the freeze policy {' or '.join(BRANCH_PARTS)}."
        )


def _checkpoints(task: TrainingTask, folder: str) -> Checkpoints:
    """What a folder keeps of this task alone: none of another recipe, champion, data or code."""
    depends_on = {
        "recipe": task.recipe.to_dict(),
        "backend": task.backend,
        "targets": task.targets,
        "precision": task.settings.precision,
        "champion": str(task.champion),
        "examples": str(task.examples),
        "code_version": task.code_version,
    }
    return Checkpoints(task.work / folder, depends_on)


def _train(
    task: TrainingTask,
    champion: Bundle,
    strategy: tf.distribute.Strategy,
    checkpoints: Checkpoints,
) -> tuple[Bundle, TrainingResult]:
    """Fine-tunes the champion and exports it; returns its bundle and what training did."""
    recipe = task.recipe
    eval_files = example_files(task.examples, "eval")
    logger.info(f"loading the champion; to watch: .venv/ml/bin/tensorboard --logdir {task.board}")
    labels = champion.label_map()
    board = Board(task.board)
    with strategy.scope(), compute_in_half(recipe.mixed_precision):
        detector, teacher = prepare(task.backend, champion.entry, task.targets, recipe)
        serving = Serving(detector)
        evaluate = Evaluator(
            serving.encoded, eval_files, labels, task.targets, task.settings.precision, board
        )
        result = fit(
            detector,
            _batches(task, detector, labels),
            recipe,
            hooks=[Resume(checkpoints), board, *task.hooks, KeepBest(evaluate)],
            teacher=teacher,
            features=task.work / "features",
            version=task.code_version,
        )
    logger.info("exporting the challenger")
    if recipe.mixed_precision or strategy.num_replicas_in_sync > 1:
        detector = plain(task.backend, detector)
        serving = Serving(detector)
    return write_bundle(detector, serving, task.challenger), result


def prepare(
    backend: str, entry: Path, targets: Sequence[str], recipe: Recipe
) -> tuple[Detector, Teacher | None]:
    """Loads the detector that learns, with the branches that the recipe gives it.

    Args:
        backend: of the model.
        entry: folder of the champion to train.
        targets: the classes to raise.
        recipe: what training will do.

    Returns:
        The detector, and its teacher where the recipe distils.

    """
    detector = load_detector(backend, entry)
    teacher = None
    if recipe.distillation:
        champion = load_detector(backend, entry)
        teacher = Teacher(champion, frozenset({*targets, *champion.branches()}))
        champion.drop_branches()
    parts = branch_parts(recipe.freeze_policy)
    if parts:
        detector.grow_branches(targets, parts, auxiliary=recipe.auxiliary > 0)
    else:
        detector.drop_branches()  # the common head learns their classes again
    return detector, teacher


def plain(backend: str, detector: Detector) -> Detector:
    """Loads the same weights into a detector for one device, that computes in float32."""
    with TemporaryDirectory(prefix="classlift-") as folder:
        detector.save(Path(folder))
        return load_detector(backend, Path(folder))
