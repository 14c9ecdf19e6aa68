"""The TFX shell of the gate."""

import json
import logging
import os
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from classlift.data.snapshot import Snapshot
from classlift.environment import RUN_VARIABLE
from classlift.gate import run as gate
from classlift.gate.evidence import ModelPredictions
from classlift.gate.predictions import Origin
from classlift.gate.uses import TestSet
from classlift.gate.verdict import PUSH
from classlift.serving.bundle import Bundle
from classlift.settings.gate import GateSettings
from classlift.settings.targets import targets_of
from components import artifacts
from components.recorded_uses import TEST_IMAGES, TEST_SET, recorded_uses

logger = logging.getLogger(__name__)


@component  # type: ignore[untyped-decorator]  # TFX has no types
def RecallGate(
    examples: InputArtifact[standard_artifacts.Examples],
    snapshot: InputArtifact[artifacts.Snapshot],
    diagnosis: InputArtifact[artifacts.Diagnosis],
    champion: InputArtifact[standard_artifacts.Model],
    challenger: InputArtifact[standard_artifacts.Model],
    champion_predictions: InputArtifact[artifacts.Predictions],
    challenger_predictions: InputArtifact[artifacts.Predictions],
    blessing: OutputArtifact[standard_artifacts.ModelBlessing],
    evaluation: OutputArtifact[standard_artifacts.ModelEvaluation],
    target: Parameter[str],
    settings: Parameter[str],
    metadata: Parameter[str],
    code_version: Parameter[str],
) -> None:
    """Judges the challenger; blesses it only for the verdict `push`.

    Args:
        examples: for the pictures of test.
        snapshot: of the labelled data.
        diagnosis: of the champion, for the report.
        champion: the model in production.
        challenger: the newly trained model.
        champion_predictions: the champion's answers.
        challenger_predictions: the challenger's, for the same images.
        blessing: to write.
        evaluation: verdict and report to write. This use of the test set is recorded with it, as
            its property.
        target: JSON of the class to raise, or of a list of them.
        settings: JSON of `GateSettings`.
        metadata: JSON of ML Metadata's `ConnectionConfig`; there the uses of the test set are
            counted.
        code_version: of what the node can read; the cache is keyed by it.

    """
    data = Snapshot.read(Path(snapshot.uri))
    test_set = TestSet.of(data.images)
    verdict = gate.run(
        Bundle(Path(path_utils.serving_model_path(champion.uri))),
        Bundle(Path(path_utils.serving_model_path(challenger.uri))),
        ModelPredictions.read(Path(champion_predictions.uri)),
        ModelPredictions.read(Path(challenger_predictions.uri)),
        snapshot=data,
        targets=targets_of(json.loads(target)),
        settings=GateSettings(**json.loads(settings)),
        origin=Origin(
            champion.get_string_custom_property("champion"),
            snapshot.get_string_custom_property("content_hash"),
            code_version,
            os.environ.get(RUN_VARIABLE),
        ),
        use=recorded_uses(metadata, test_set) + 1,
        diagnosis=Path(diagnosis.uri),
        examples=Path(examples.uri),
        folder=Path(evaluation.uri),
    )
    evaluation.set_string_custom_property(TEST_SET, test_set.id)
    evaluation.set_string_custom_property(TEST_IMAGES, str(test_set.images))
    evaluation.set_string_custom_property("verdict", verdict.verdict)
    blessed = verdict.verdict == PUSH
    Path(blessing.uri).mkdir(parents=True, exist_ok=True)
    Path(blessing.uri, "BLESSED" if blessed else "NOT_BLESSED").touch()
    blessing.set_int_custom_property("blessed", int(blessed))
    blessing.set_string_custom_property("verdict", verdict.verdict)
    logger.info(f"verdict: {verdict.verdict}")
    for reason in verdict.reasons:
        logger.info(reason)
