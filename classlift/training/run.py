"""What a training run does: the champion is fine-tuned by a recipe and becomes the challenger."""

import hashlib
import json
import logging
import math
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import tensorflow as tf

from classlift import own_folders
from classlift.data import kept_splits
from classlift.data.examples import example_files
from classlift.data.formats.tfrecord import count_records
from classlift.data.kept import Kept
from classlift.data.label_map import LabelMap
from classlift.data.units import read_units
from classlift.detectors.backends import load_detector
from classlift.detectors.detector import Detector
from classlift.detectors.export import Serving
from classlift.errors import ConfigError
from classlift.examples.rebalanced import Rebalanced
from classlift.records import JsonObject
from classlift.serving.bundle import Bundle
from classlift.serving.manifest import Manifest
from classlift.serving.provenance import Provenance
from classlift.serving.write import write_bundle
from classlift.settings.freeze import BRANCH_PARTS, branch_parts
from classlift.settings.gate import GateSettings
from classlift.settings.recipe import Recipe
from classlift.settings.targets import classes_in_words
from classlift.text import shown
from classlift.training.affordable import affordable_depths
from classlift.training.cache import FeatureCache
from classlift.training.checkpoints import Checkpoints
from classlift.training.depths import DEPTHS, Depths
from classlift.training.devices import compute_in_half, make_reproducible, strategy_for
from classlift.training.evaluation import Evaluator
from classlift.training.fit import Batches, features_of_each, fit
from classlift.training.hooks.board import Board
from classlift.training.hooks.curves import Curves
from classlift.training.hooks.keep_best import KeepBest
from classlift.training.hooks.resume import Resume
from classlift.training.input import training_batches
from classlift.training.loop import LossError, TrainingResult
from classlift.training.step import Teacher
from classlift.training.thresholds import thresholds_to_serve
from classlift.training.verified import VERIFIERS, Verified
from classlift.training.verifying import fit_verifiers

logger = logging.getLogger(__name__)

HEAD_SHARE = 2
"""Where a deeper branch goes on from what a head has learned, the head learns for one step in so
many, from as much fewer views: the deeper one is as good then, see docs/benchmarks/recipes.md."""

DEEPER = "deeper"
"""The folder, in those of checkpoints, features and board, of the deeper of two branches."""


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
        code_version: of the code that trains.
        thresholds: the settings by which score thresholds are chosen.
        curves: a file that shows what is being trained.

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
    curves: Path


@dataclass
class _Learner:
    """A detector that is to learn, with what its task says of it.

    Attributes:
        features: of the batches: where they are kept, or those that are there already.

    """

    task: TrainingTask
    detector: Detector
    teacher: Teacher | None
    features: Path | FeatureCache


@dataclass(frozen=True)
class _Trained:
    """A challenger that may be exported, and how it became one."""

    recipe: Recipe
    detector: Detector
    serving: Serving
    evaluate: Evaluator
    result: TrainingResult

    @cached_property
    def ap50(self) -> dict[str, float]:
        """Of each target on eval, with these weights."""
        return self.result.ap50 or self.evaluate(self.result.chosen).ap50


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
    make_reproducible(task.recipe.seed)  # before anything is computed
    with strategy.scope(), compute_in_half(task.recipe.mixed_precision):
        logger.info(
            f"loading the champion; to watch: .venv/ml/bin/tensorboard --logdir {task.board}"
        )
        detector, teacher = load(task.backend, champion.entry, task.targets, task.recipe)
        costs = _depths(task, champion, detector)
        tasks = _of_each(task, costs)
        with _learners(tasks, detector, teacher, champion) as learners:
            trained = _train_each(learners, champion)
    depths = _judged(task, trained, costs)
    best = trained[depths.deepest] if depths else next(iter(trained.values()))
    detector = _for_one_device(task, best, strategy)
    kept = {label: trained[depths.chosen[label]] if depths else best for label in task.targets}
    cheaper = {label: one for label, one in kept.items() if one is not best}
    for label, one in cheaper.items():
        detector.take_branch(label, one.detector)
    serving, verified = _verify(task, kept, detector)
    if serving is None:
        is_whole = detector is best.detector and not cheaper
        serving = best.serving if is_whole else Serving(detector)
    logger.info("exporting the challenger")
    bundle = write_bundle(detector, serving, task.challenger)
    points = _thresholds(task, champion, bundle)
    training: JsonObject = {
        **vars(best.result),
        "ap50": {label: kept[label].result.ap50[label] for label in best.result.ap50},
        "rivalries": {label: float(value) for label, value in detector.rivalries.items()},
        VERIFIERS: [asdict(one) for one in verified],
        **({DEPTHS: depths.to_json()} if depths else {}),
    }
    recipe = task.recipe.override({"freeze_policy": best.recipe.freeze_policy})
    bundle.write_notes(points, replace(provenance, recipe=recipe.to_dict(), training=training))
    kept_splits.hand_on(task.examples, bundle.entry)
    for own in tasks.values():
        _checkpoints(own).clear()
    return bundle


def _depths(task: TrainingTask, champion: Bundle, detector: Detector) -> dict[str, float]:
    """By freeze policy, the depths that are trained and what an inference of each costs.

    Args:
        task: what is to be trained.
        champion: of it.
        detector: the champion's.

    Returns:
        The cheaper first; empty where the recipe says how deep the branch begins.

    """
    recipe = task.recipe
    if not (recipe.chooses_depth and champion.abilities().can_branch_neck):
        return {}

    kept = Kept(task.work / "costs" / "costs.json", own_folders.COSTS, _costs_key(task, champion))
    known: dict[str, float] | None = kept.recall()
    if known is not None:
        logger.info("what each depth of a branch costs is known from an earlier run")
        return known
    without = detector.twin()
    without.drop_branches(task.targets)  # or what is paid for a deep one would buy a deeper one

    def grown(policy: str) -> Detector:
        twin = detector.twin()
        twin.grow_branches(task.targets, branch_parts(policy))
        return twin

    costs = affordable_depths(grown, without, recipe.max_inference)
    kept.keep(costs)
    return costs


def _costs_key(task: TrainingTask, champion: Bundle) -> str:
    """A hash of all that the work of branches depends on."""
    model = Manifest.of(champion.entry).digest()
    asked = [task.code_version, task.backend, model, task.targets, task.recipe.max_inference]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def _of_each(task: TrainingTask, policies: Collection[str]) -> dict[str, TrainingTask]:
    """The trainings of which one is exported, by freeze policy."""
    head, *deeper = policies or [task.recipe.freeze_policy]
    first = task.recipe.override({"freeze_policy": head})
    if deeper:
        counts = {"steps": first.steps, "cached_batches": first.cached_batches}
        first = first.override({k: math.ceil(count / HEAD_SHARE) for k, count in counts.items()})
    tasks = {head: replace(task, recipe=first)}
    for policy in deeper:
        recipe = task.recipe.override({"freeze_policy": policy})
        work, board = task.work / DEEPER, task.board / DEEPER
        tasks[policy] = replace(task, recipe=recipe, work=work, board=board)
    return tasks


@contextmanager
def _learners(
    tasks: Mapping[str, TrainingTask],
    detector: Detector,
    teacher: Teacher | None,
    champion: Bundle,
) -> Iterator[dict[str, _Learner]]:
    """What learns, by freeze policy; the features of several come from one pass over the images."""
    learners = {}
    for policy, own in tasks.items():
        make_reproducible(own.recipe.seed)  # also where costs were counted, or another has grown
        learning = detector if len(tasks) == 1 else detector.twin()
        let_learn(learning, own.targets, own.recipe)
        learners[policy] = _Learner(own, learning, teacher, _features(own))
    if len(learners) == 1:
        yield learners
        return
    asked = [(one.detector, one.task.recipe, _features(one.task)) for one in learners.values()]
    first = next(iter(learners.values()))
    with features_of_each(asked, _batches(first, champion), first.task.code_version) as caches:
        for learner, cache in zip(learners.values(), caches, strict=False):  # there may be none
            learner.features = cache
        yield learners


def _features(task: TrainingTask) -> Path:
    return task.work / "features"


def _train_each(learners: Mapping[str, _Learner], champion: Bundle) -> dict[str, _Trained]:
    """Trains one after the other, each from what the one before it has learned.

    A head first, then what is before it: after Kumar et al., "Fine-Tuning can Distort Pretrained
    Features and Underperform Out-of-Distribution" (2022).

    Returns:
        What became of each, by freeze policy, but for those whose losses became no numbers.

    Raises:
        LossError: those of all do.

    """
    trained: dict[str, _Trained] = {}
    before: Detector | None = None
    for number, (policy, learner) in enumerate(learners.items(), start=1):
        if len(learners) > 1:
            logger.info(f"depth {number} of {len(learners)}: {policy}")
        try:
            trained[policy] = _train(learner, champion, before)
            before = trained[policy].detector
        except LossError as error:
            if number == len(learners) and not trained:
                raise
            logger.warning(f"{policy} is left out. {error}")
    return trained


def _judged(
    task: TrainingTask, trained: Mapping[str, _Trained], costs: Mapping[str, float]
) -> Depths | None:
    """Chooses among several depths by eval; None where there are no several."""
    if len(trained) == 1:
        return None
    ap50 = {policy: one.ap50 for policy, one in trained.items()}
    images = count_records(example_files(task.examples, "eval"))
    depths = Depths.judged(ap50, costs, task.recipe.max_inference, images)
    for sentence in depths.sentences():
        logger.info(sentence)
    return depths


def _batches(learner: _Learner, champion: Bundle) -> Batches:
    """What training is shown, from a step on."""
    task = learner.task
    return partial(
        training_batches,
        example_files(task.examples, "train"),
        learner.detector.frame,
        champion.label_map(),
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


def _checkpoints(task: TrainingTask) -> Checkpoints:
    """Those of this task alone: none of another recipe, champion, data or code."""
    depends_on = {
        "recipe": task.recipe.to_dict(),
        "backend": task.backend,
        "targets": task.targets,
        "precision": task.settings.precision,
        "champion": str(task.champion),
        "examples": str(task.examples),
        "code_version": task.code_version,
    }
    return Checkpoints(task.work / "checkpoints", depends_on)


def _train(learner: _Learner, champion: Bundle, before: Detector | None) -> _Trained:
    """Fine-tunes the champion by the recipe; its branches begin as those of `before`, if any."""
    task, detector = learner.task, learner.detector
    board = Board(task.board)
    make_reproducible(task.recipe.seed)  # also where another depth was trained before
    if before is not None:
        detector.go_on_from(before)
    serving = Serving(detector)
    evaluate = _evaluator(task, serving, champion.label_map(), board)
    result = fit(
        detector,
        _batches(learner, champion),
        task.recipe,
        hooks=[Resume(_checkpoints(task)), board, Curves(task.curves), KeepBest(evaluate)],
        teacher=learner.teacher,
        features=learner.features,
        version=task.code_version,
    )
    return _Trained(task.recipe, detector, serving, evaluate, result)


def _for_one_device(
    task: TrainingTask, best: _Trained, strategy: tf.distribute.Strategy
) -> Detector:
    """What was trained, as a detector for one device that computes in float32."""
    if not best.recipe.mixed_precision and strategy.num_replicas_in_sync == 1:
        return best.detector
    detector = plain(task.backend, best.detector)
    parts = branch_parts(best.recipe.freeze_policy)
    if parts:
        detector.grow_branches(task.targets, parts)  # it has them: training means them
    return detector


def _verify(
    task: TrainingTask, kept: Mapping[str, _Trained], detector: Detector
) -> tuple[Serving | None, list[Verified]]:
    """Gives the branches of a detector verifiers, those with which more is found on eval.

    Args:
        task: what is trained.
        kept: by class, the training whose branch the detector has.
        detector: what is exported.

    Returns:
        The detector's graph, None where nothing is kept; and what each verifier gave.

    """
    if not (task.recipe.verifier and detector.can_verify and detector.trained_branches):
        return None, []
    files = example_files(task.examples, "train")
    ap50 = {label: one.ap50[label] for label, one in kept.items()}
    targets = [label for label, found in ap50.items() if found >= 0]  # nan: not on eval
    labels = detector.label_map
    verifiers = fit_verifiers(detector, files, labels, targets) if targets else {}
    if not verifiers:
        return None, []
    detector.verify(verifiers)
    serving = Serving(detector)
    after = _evaluator(task, serving, labels).matches().ap50
    found = [Verified(label, ap50[label], after[label]) for label in verifiers]
    for verified in found:
        logger.info(verified.sentence())
    helping = {verified.label: verifiers[verified.label] for verified in found if verified.is_kept}
    if len(helping) == len(found):
        return serving, found
    detector.verify(helping)
    return Serving(detector) if helping else None, found


def _evaluator(
    task: TrainingTask, serving: Serving, labels: LabelMap, board: Board | None = None
) -> Evaluator:
    """The evaluation of the present weights on eval."""
    files, precision = example_files(task.examples, "eval"), task.settings.precision
    return Evaluator(serving.encoded, files, labels, task.targets, precision, board)


def load(
    backend: str, entry: Path, targets: Sequence[str], recipe: Recipe
) -> tuple[Detector, Teacher | None]:
    """Loads the champion, once more where it is to teach.

    Args:
        backend: of the model.
        entry: folder of the champion to train.
        targets: the classes to raise.
        recipe: what training will do.

    Returns:
        The detector, for `let_learn`, and its teacher where the recipe distils.

    """
    detector = load_detector(backend, entry)
    if not recipe.distillation:
        return detector, None
    champion = load_detector(backend, entry)
    teacher = Teacher(champion, frozenset({*targets, *champion.branches()}))
    champion.drop_branches()
    return detector, teacher


def let_learn(detector: Detector, targets: Sequence[str], recipe: Recipe) -> None:
    """Gives a detector the branches that a recipe trains, or takes away what it can't have.

    Args:
        detector: as it was loaded.
        targets: the classes to raise.
        recipe: what training will do.

    """
    parts = branch_parts(recipe.freeze_policy)
    if parts:
        detector.grow_branches(targets, parts, auxiliary=recipe.auxiliary > 0)
        detector.verify({})  # they judge by what is about to change
    else:
        detector.drop_branches()  # the common head learns their classes again


def plain(backend: str, detector: Detector) -> Detector:
    """Loads the same weights into a detector for one device, that computes in float32."""
    with TemporaryDirectory(prefix="classlift-") as folder:
        detector.save(Path(folder))
        return load_detector(backend, Path(folder))
