"""What TFX's Trainer runs: the champion is fine-tuned by the recipe and becomes the challenger."""

import json
from pathlib import Path
from typing import Any

import tensorflow as tf

from components.detectors.backends import load_detector
from components.detectors.bundle import Bundle, write_bundle
from components.detectors.examples import example_files
from components.detectors.freeze import TARGET_BRANCH
from components.detectors.input import training_batches
from components.detectors.predict import predict
from components.detectors.recipe import Recipe
from components.detectors.training import fit
from components.metrics.curves import operating_points
from components.metrics.matching import match
from components.progress import say
from components.rebalanced_example_gen.write import SUMMARY


def run_fn(fn_args: Any) -> None:
    """Load, freeze, train, export, choose the operating points.

    fn_args: TFX's; `hyperparameters` is the recipe, `base_model` the champion, and
    `custom_config` has `backend`, `precision`, `target` and `code_version`.

    The same seed gives the same weights on the same kind of machine: TensorFlow's deterministic
    kernels are asked for.
    """
    recipe = Recipe.from_json(json.dumps(fn_args.hyperparameters))
    config = fn_args.custom_config
    tf.keras.utils.set_random_seed(recipe.seed)
    tf.config.experimental.enable_op_determinism()

    champion = Bundle(Path(fn_args.base_model))
    say("loading the champion")
    detector = load_detector(config["backend"], champion.entry)
    examples = Path(fn_args.train_files[0]).parent.parent
    train_files, eval_files = (example_files(examples, split) for split in ("train", "eval"))
    if recipe.freeze_policy == TARGET_BRANCH:
        detector.grow_branch(config["target"])
    else:
        detector.drop_branches()  # the common head learns their classes again
    batches = training_batches(train_files, detector.input_size, detector.label_map, recipe)
    result = fit(detector, batches, recipe, say)

    say("exporting the challenger")
    bundle, serve = write_bundle(detector, Path(fn_args.serving_model_dir))
    predictions = predict(serve, eval_files, detector.label_map, say)
    matches = match(
        predictions.boxes, predictions.detections, predictions.image_ids, detector.label_map.names
    )
    bundle.write_notes(
        operating_points(matches, config["precision"]),
        {
            "recipe": recipe.to_dict(),
            "training": vars(result),
            "target": config["target"],
            "code_version": config["code_version"],
            "champion": champion.provenance(),
            "profile": json.loads((examples / SUMMARY).read_text())["profile"],
        },
    )
