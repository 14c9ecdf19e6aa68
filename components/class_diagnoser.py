"""The TFX shell of `classlift.diagnosis`."""

import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from classlift.diagnosis.run import run
from classlift.serving.bundle import Bundle
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
    """Says why the target class is weak and writes the recipe.

    overrides: JSON of the parts of the recipe that the user sets; `class_weight` is the target's,
        `class_weighting` a method for all classes, and `train_anyway` goes on where training is
        not likely to help.
    relabel_page: HTML file for the labels of eval that the champion doubts.
    """
    result = run(
        Bundle(Path(path_utils.serving_model_path(champion.uri))),
        Path(champion_predictions.uri),
        Path(examples.uri),
        target,
        precision,
        json.loads(overrides),
        Path(relabel_page),
        operating_points,
    )
    result.write(Path(diagnosis.uri))
    Path(recipe.uri, RECIPE).write_text(json.dumps(result.recipe.to_dict()))
