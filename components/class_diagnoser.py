"""The TFX shell of `classlift.diagnosis`."""

import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from classlift.diagnosis.run import run
from classlift.serving.bundle import Bundle
from classlift.settings.targets import targets_of
from components import artifacts

RECIPE = "hyperparameters.txt"  # the name that TFX's Trainer reads


@component  # type: ignore[untyped-decorator]  # TFX has no types
def ClassDiagnoser(
    examples: InputArtifact[standard_artifacts.Examples],
    champion: InputArtifact[standard_artifacts.Model],
    champion_predictions: InputArtifact[artifacts.Predictions],
    diagnosis: OutputArtifact[artifacts.Diagnosis],
    recipe: OutputArtifact[standard_artifacts.HyperParameters],
    target: Parameter[str],
    precision: Parameter[float],
    operating_points: Parameter[str],
    overrides: Parameter[str],
    relabel_page: Parameter[str],
    code_version: Parameter[str],
) -> None:
    """Says why the target classes are weak and writes the recipe.

    Args:
        examples: that the champion answered for, and that the challenger will learn.
        champion: the model in production.
        champion_predictions: its answers.
        diagnosis: to write.
        recipe: to write, for the trainer.
        target: JSON of the class to raise, or of a list of them.
        precision: 0 to 1, at which recalls are read.
        operating_points: one of `settings.gate.OPERATING_POINTS`.
        overrides: JSON of the parts of the recipe that the user sets; `class_weight` is the
            targets', `class_weighting` a method for all classes, and `train_anyway` goes on where
            training is not likely to help.
        relabel_page: HTML file for the labels of eval that the champion doubts.
        code_version: of what the node can read; the cache is keyed by it.

    """
    result = run(
        Bundle(Path(path_utils.serving_model_path(champion.uri))),
        Path(champion_predictions.uri),
        Path(examples.uri),
        targets_of(json.loads(target)),
        precision,
        json.loads(overrides),
        Path(relabel_page),
        operating_points,
    )
    result.write(Path(diagnosis.uri))
    Path(recipe.uri, RECIPE).write_text(json.dumps(result.recipe.to_dict()))
