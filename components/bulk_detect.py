"""The TFX shell of bulk detection."""

import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from classlift.serving.detect import detect
from components import artifacts

SPLITS = ("eval", "test")


@component  # type: ignore[untyped-decorator]  # TFX has no types
def BulkDetect(
    examples: InputArtifact[standard_artifacts.Examples],
    model: InputArtifact[standard_artifacts.Model],
    predictions: OutputArtifact[artifacts.Predictions],
    study: Parameter[int],
    kept: Parameter[str],
    beam_options: Parameter[str],
    code_version: Parameter[str],
) -> None:
    """Writes a model's predictions on eval and test; a model that has answered is not asked again.

    Args:
        examples: the images.
        model: that answers.
        predictions: to write, a folder a split.
        study: 1 to describe objects of train and eval too, for the diagnosis.
        kept: folder that keeps the answers for the next run; empty for none.
        beam_options: JSON list, as on Beam's command line.
        code_version: of what the node can read; the cache is keyed by it, and so are answers.

    """
    saved_model = Path(path_utils.serving_model_path(model.uri))
    folder = Path(predictions.uri)
    options = json.loads(beam_options)
    detect(
        saved_model,
        Path(examples.uri),
        SPLITS,
        folder,
        options,
        bool(study),
        Path(kept) if kept else None,
        code_version,
    )
