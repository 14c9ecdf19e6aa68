"""What TFX's Trainer runs."""

import json
import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from classlift.data.examples import example_files
from classlift.data.predictions import Predictions
from classlift.data.units import read_units
from classlift.detectors.predict import load_signature, predict
from classlift.metrics.matching import Matches, match
from classlift.metrics.thresholds import choose, same_bits
from classlift.serving.bundle import Bundle
from classlift.settings.gate import GateSettings
from classlift.settings.recipe import Recipe
from classlift.training.run import TrainingTask, run

logger = logging.getLogger(__name__)


def run_fn(fn_args: Any) -> None:
    """Trains the challenger by the recipe, and chooses its score thresholds as the gate does.

    fn_args: TFX's; `hyperparameters` is the recipe, `base_model` the champion, and
    `custom_config` has `backend`, `target`, `code_version`, the gate's `precision`,
    `operating_points`, `thresholds` and `score_threshold`, and the folder `work`.
    """
    recipe = Recipe.from_json(json.dumps(fn_args.hyperparameters))
    config = fn_args.custom_config
    examples = Path(fn_args.train_files[0]).parent.parent
    # Recalibration moves the target's alone, whatever the settings do to those of other classes.
    asked: tuple[str, ...] = ("precision", "operating_points")
    if not recipe.recalibrate:
        asked += ("thresholds", "score_threshold")
    settings = GateSettings(**{name: config[name] for name in asked})
    task = TrainingTask(
        recipe=recipe,
        backend=config["backend"],
        target=config["target"],
        precision=settings.precision,
        champion=Path(fn_args.base_model),
        examples=examples,
        challenger=Path(fn_args.serving_model_dir),
        board=Path(fn_args.model_run_dir),
        work=Path(config["work"]),
        code_version=config["code_version"],
        thresholds={name: config[name] for name in asked if config[name] is not None},
    )
    eval_files = example_files(examples, "eval")
    units = read_units(examples)
    run(task, partial(thresholds_to_serve, eval_files, units, recipe, settings, task.target))


def thresholds_to_serve(
    eval_files: list[str],
    units: Mapping[str, str],
    recipe: Recipe,
    settings: GateSettings,
    target: str,
    champion: Bundle,
    challenger: Bundle,
) -> dict[str, float]:
    """Chooses the challenger's score thresholds on eval, as the gate asks for them.

    units: of the images of eval, as `read_units` gives them. What the recipe can't have changed
    keeps its threshold; where it may have, both models are asked as they are served, for the gate
    does the same.
    """
    labels = champion.label_map()

    def predicted(bundle: Bundle) -> Predictions:
        found = predict(load_signature(bundle.saved_model), eval_files, labels)
        logger.info(f"{len(found.image_ids)} images predicted")
        return found

    def matched(found: Predictions) -> Matches:
        names = [units.get(image_id, image_id) for image_id in found.image_ids]
        return match(found.boxes, found.detections, found.image_ids, labels.names, names)

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
