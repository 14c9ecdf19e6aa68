"""The TFX shell of the diagnosis."""

import json
from dataclasses import asdict
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from classlift.data.examples import example_files
from classlift.data.formats.tfrecord import encoded_images
from classlift.data.predictions import Predictions
from classlift.diagnosis.diagnose import diagnose, labels_to_look_at, read_objects, trained_on
from classlift.diagnosis.recipes import choose_recipe
from classlift.diagnosis.weighting import with_class_weights
from classlift.errors import DataError
from classlift.examples.rebalanced import Rebalanced
from classlift.metrics.matching import match
from classlift.progress import say
from classlift.quality.report import write_relabel_page
from classlift.quality.suspicions import SHOWN, pictures
from classlift.serving.bundle import THRESHOLDS_UNKNOWN, Bundle
from components import artifacts

RECIPE = "hyperparameters.txt"  # the name that TFX's Trainer reads


@component
def ClassDiagnoser(
    examples: InputArtifact[standard_artifacts.Examples],
    champion: InputArtifact[standard_artifacts.Model],
    champion_predictions: InputArtifact[artifacts.Predictions],
    diagnosis: OutputArtifact[artifacts.Diagnosis],
    recipe: OutputArtifact[standard_artifacts.HyperParameters],
    target: Parameter[str],
    precision: Parameter[float],
    overrides: Parameter[str],
    relabel_page: Parameter[str],
    code_version: Parameter[str],
) -> None:
    """Says why the target class is weak and writes the recipe.

    overrides: JSON of the parts of the recipe that the user sets; `class_weight` is the target's,
        `class_weighting` a method for all classes, and `train_anyway` goes on where training is
        not likely to help.
    relabel_page: HTML file for the labels of eval that the champion doubts.
    """
    bundle = Bundle(Path(path_utils.serving_model_path(champion.uri)))
    label_map = bundle.label_map()
    predictions = Predictions.read(Path(champion_predictions.uri, "eval"))
    matches = match(
        predictions.boxes, predictions.detections, predictions.image_ids, label_map.names
    )
    rebalanced = Rebalanced.read(Path(examples.uri))
    found = diagnose(
        matches,
        target,
        precision,
        bundle.operating_points(),
        trained_on(bundle.provenance()) or rebalanced.boxes_old or rebalanced.boxes_before,
        read_objects(Path(champion_predictions.uri)),
        bundle.smallest_object(),
    )
    doubts = labels_to_look_at(found, predictions)
    wanted = {doubt.image_id for doubt in doubts[:SHOWN]}
    encoded = encoded_images(example_files(Path(examples.uri), "eval"), wanted)
    write_relabel_page(Path(relabel_page), doubts, pictures(doubts, encoded.__getitem__))
    say(f"{len(doubts)} labels of eval to look at again: {relabel_page}")
    changes = json.loads(overrides)
    train_anyway = changes.pop("train_anyway", False)
    boxes = rebalanced.boxes_after
    choice = choose_recipe(
        found.causes, target, boxes, changes.get("freeze_policy"), bundle.can_branch()
    )
    changes = with_class_weights(changes, target, boxes)
    chosen = choice.recipe.override(changes)
    if not bundle.brings_operating_points():
        say(THRESHOLDS_UNKNOWN)
    for sentence in (*found.sentences(), *choice.reasons, choice.advice):
        say(sentence)
    if changes:
        say(f"Overridden by the user: {', '.join(sorted(changes))}.")
    if choice.stop and not (train_anyway or chosen.recalibrate):
        raise DataError(choice.stop)
    facts = {
        **found.facts(),
        "reasons": choice.reasons,
        "advice": choice.advice,
        "overridden": sorted(changes),
        "recipe": chosen.to_dict(),
        "rebalancing": asdict(rebalanced),
        "relabel": [asdict(doubt) for doubt in doubts],
    }
    Path(diagnosis.uri, "diagnosis.json").write_text(json.dumps(facts, indent=1))
    Path(recipe.uri, RECIPE).write_text(json.dumps(chosen.to_dict()))
