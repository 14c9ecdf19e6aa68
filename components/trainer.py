"""What TFX's Trainer runs: the champion is fine-tuned by the recipe and becomes the challenger."""

import json
import shutil
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from classlift.data import kept_splits
from classlift.data.predictions import Predictions
from classlift.detectors.backends import load_detector
from classlift.detectors.detector import Detector
from classlift.detectors.examples import example_files
from classlift.detectors.export import Serving
from classlift.detectors.predict import load_signature, predict
from classlift.examples.rebalanced import Rebalanced
from classlift.gate.evidence import same_bits
from classlift.gate.thresholds import choose
from classlift.metrics.matching import Matches, match
from classlift.progress import say
from classlift.serving.bundle import Bundle
from classlift.serving.provenance import Provenance
from classlift.serving.write import write_bundle
from classlift.settings.freeze import BRANCH_PARTS
from classlift.settings.gate import GateSettings
from classlift.settings.recipe import Recipe
from classlift.training.board import Board
from classlift.training.checkpoints import Checkpoints
from classlift.training.devices import compute_in_half, make_reproducible, strategy_for
from classlift.training.input import training_batches
from classlift.training.judge import Judge
from classlift.training.loop import fit
from classlift.training.step import Teacher


def run_fn(fn_args: Any) -> None:
    """Load, freeze, train, export, choose the score thresholds to serve.

    fn_args: TFX's; `hyperparameters` is the recipe, `base_model` the champion, and
    `custom_config` has `backend`, `target`, `code_version`, the gate's `precision`, `thresholds`
    and `score_threshold`, and the folder `work`, where checkpoints lie until training has ended,
    and features for the next one.

    Weights are chosen at matched precision also where the score threshold is fixed: at that, the
    checkpoint that shouts most would win.

    The same seed gives the same weights on CPUs of the same kind (`make_reproducible`).
    """
    recipe = Recipe.from_json(json.dumps(fn_args.hyperparameters))
    config = fn_args.custom_config
    if recipe.recalibrate:
        recalibrate(fn_args, recipe)
        return
    strategy = strategy_for(recipe.device)
    make_reproducible(recipe.seed)

    champion = Bundle(Path(fn_args.base_model))
    examples = Path(fn_args.train_files[0]).parent.parent
    train_files, eval_files = (example_files(examples, split) for split in ("train", "eval"))
    question = {"recipe": recipe.to_dict(), "champion": str(champion.saved_model), **config}
    work = Path(config["work"])
    checkpoints = Checkpoints(work / "checkpoints", {**question, "examples": str(examples)})
    board = Board(Path(fn_args.model_run_dir))

    def judge_of(serving: Serving, board: Board | None = None) -> Judge:
        return Judge(
            serving.encoded, eval_files, labels, config["target"], config["precision"], board
        )

    say(
        f"loading the champion; to watch: .venv/ml/bin/tensorboard --logdir {fn_args.model_run_dir}"
    )
    labels = champion.label_map()
    with strategy.scope(), compute_in_half(recipe.mixed_precision):
        detector, teacher = prepare(config["backend"], champion.entry, config["target"], recipe)
        serving = Serving(detector)
        result = fit(
            detector,
            partial(training_batches, train_files, detector.frame, labels, recipe),
            recipe,
            say,
            judge=judge_of(serving, board),
            teacher=teacher,
            checkpoints=checkpoints,
            board=board,
            features=work / "features",
            version=config["code_version"],
        )
    say("exporting the challenger")
    if recipe.mixed_precision or strategy.num_replicas_in_sync > 1:
        detector = plain(config["backend"], detector)
        serving = Serving(detector)
    bundle = write_bundle(detector, serving, Path(fn_args.serving_model_dir))
    bundle.write_notes(
        thresholds_to_serve(champion, bundle, eval_files, recipe, config),
        replace(provenance(config, recipe, champion, examples), training=vars(result)),
    )
    kept_splits.hand_on(examples, bundle.entry)
    checkpoints.clear()


def recalibrate(fn_args: Any, recipe: Recipe) -> None:
    """The champion itself becomes the challenger, with another threshold for the target alone."""
    config, saved_model = fn_args.custom_config, Path(fn_args.serving_model_dir)
    champion = Bundle(Path(fn_args.base_model))
    examples = Path(fn_args.train_files[0]).parent.parent
    say(f"nothing is trained: choosing the threshold of class {config['target']} on eval")
    points = thresholds_to_serve(
        champion, champion, example_files(examples, "eval"), recipe, config
    )
    shutil.copytree(champion.saved_model, saved_model)
    Bundle(saved_model).write_notes(points, provenance(config, recipe, champion, examples))
    kept_splits.hand_on(examples, Bundle(saved_model).entry)


def thresholds_to_serve(
    champion: Bundle, challenger: Bundle, eval_files: list[str], recipe: Recipe, config: Any
) -> dict[str, float]:
    """The challenger's score thresholds, chosen on eval as the gate asks for them.

    What the recipe can't have changed keeps its threshold; where it may have, both models are asked
    as they are served, for the gate does the same.
    """
    labels, target = champion.label_map(), config["target"]
    # Recalibration moves the target's alone, whatever the settings do to those of other classes.
    asked = ("precision",) if recipe.recalibrate else ("precision", "thresholds", "score_threshold")
    settings = GateSettings(**{name: config[name] for name in asked})

    def predicted(bundle: Bundle) -> Predictions:
        return predict(load_signature(bundle.saved_model), eval_files, labels, say)

    def matched(found: Predictions) -> Matches:
        return match(found.boxes, found.detections, found.image_ids, labels.names)

    after, before = predicted(challenger), None
    kept = set(labels) - {target}
    if not recipe.leaves_other_classes:
        before = predicted(champion)
        kept = {c for c in kept if same_bits(before.detections, after.detections, c)}
    chosen = choose(
        settings,
        target,
        champion.operating_points(),
        matched(after),
        None if before is None else matched(before),
        kept,
    )
    return {label: choice.threshold for label, choice in chosen.items()}


def provenance(
    config: dict[str, Any], recipe: Recipe, champion: Bundle, examples: Path
) -> Provenance:
    """Where a challenger comes from: it carries this, so that it can be told without metadata."""
    return Provenance(
        recipe=recipe.to_dict(),
        target=config["target"],
        code_version=config["code_version"],
        champion=champion.provenance(),
        **asdict(Rebalanced.read(examples).data),
    )


def prepare(
    backend: str, entry: Path, target: str, recipe: Recipe
) -> tuple[Detector, Teacher | None]:
    """The detector that learns, with what the recipe gives it; and its teacher, if it has one."""
    detector = load_detector(backend, entry)
    teacher = None
    if recipe.distillation:
        champion = load_detector(backend, entry)
        teacher = Teacher(champion, frozenset({target, *champion.branches()}))
        champion.drop_branches()
    if recipe.freeze_policy in BRANCH_PARTS:
        parts = BRANCH_PARTS[recipe.freeze_policy]
        detector.grow_branch(target, parts, auxiliary=recipe.auxiliary > 0)
    else:
        detector.drop_branches()  # the common head learns their classes again
    return detector, teacher


def plain(backend: str, detector: Detector) -> Detector:
    """The same weights in a detector for one device, that computes in float32."""
    with TemporaryDirectory(prefix="classlift-") as folder:
        detector.save(Path(folder))
        return load_detector(backend, Path(folder))
