"""What TFX's Trainer runs."""

import json
import os
from pathlib import Path
from typing import Any

from classlift.environment import CURVES_VARIABLE
from classlift.settings.gate import GateSettings
from classlift.settings.recipe import Recipe
from classlift.training.run import TrainingTask, run


def run_fn(fn_args: Any) -> None:
    """Trains the challenger by the recipe, and chooses its score thresholds as the gate does.

    Args:
        fn_args: TFX's; `hyperparameters` is the recipe, `base_model` the champion, and
            `custom_config` has `backend`, `targets`, `code_version`, the gate's `precision`,
            `operating_points`, `thresholds` and `score_threshold`, and the folder `work`.

    """
    recipe = Recipe.from_json(json.dumps(fn_args.hyperparameters))
    config = fn_args.custom_config
    asked = ("precision", "operating_points", "thresholds", "score_threshold")
    count = asked[:2] if recipe.recalibrate else asked  # it moves no other class's threshold
    task = TrainingTask(
        recipe=recipe,
        backend=config["backend"],
        targets=tuple(config["targets"]),
        settings=GateSettings(**{name: config[name] for name in asked}),
        champion=Path(fn_args.base_model),
        examples=Path(fn_args.train_files[0]).parent.parent,
        challenger=Path(fn_args.serving_model_dir),
        board=Path(fn_args.model_run_dir),
        work=Path(config["work"]),
        code_version=config["code_version"],
        thresholds={name: config[name] for name in count if config[name] is not None},
        curves=Path(os.environ[CURVES_VARIABLE]),
    )
    run(task)
