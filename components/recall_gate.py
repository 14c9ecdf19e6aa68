"""The TFX shell of the gate."""

import json
import os
from pathlib import Path

import pyarrow.compute as pc
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from classlift.data.predictions import Predictions
from classlift.data.snapshot import Snapshot
from classlift.data.units import find_units
from classlift.environment import RUN_VARIABLE
from classlift.gate.evidence import (
    Comparison,
    ModelPredictions,
    common_label_map,
    compare,
    require_all,
)
from classlift.gate.report import write_report
from classlift.gate.rules import judge, to_json
from classlift.gate.uses import (
    TEST_IMAGES,
    TEST_SET,
    TestImages,
    confidence_of_use,
    id_of_test_set,
    recorded_uses,
)
from classlift.gate.verdict import PUSH, REPORT, VERDICT
from classlift.metrics.summary import summarize
from classlift.progress import say
from classlift.serving.bundle import THRESHOLDS_UNKNOWN, Bundle
from classlift.settings.gate import GateSettings
from components import artifacts


@component
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

    settings: JSON of `GateSettings`. metadata: JSON of ML Metadata's `ConnectionConfig`; there the
    uses of the test set are counted. This one is recorded with the evaluation, as its property.
    """
    gate = GateSettings(**json.loads(settings))
    bundles = [
        Bundle(Path(path_utils.serving_model_path(model.uri))) for model in (champion, challenger)
    ]
    label_map = common_label_map(*(bundle.label_map() for bundle in bundles))
    predictions = [
        ModelPredictions(*(Predictions.read(Path(found.uri, split)) for split in ("eval", "test")))
        for found in (champion_predictions, challenger_predictions)
    ]
    sets = Snapshot.read(Path(snapshot.uri)).images
    for name, found in zip(("champion", "challenger"), predictions, strict=True):
        require_all(name, found, sets)
    say("matching, resampling")
    points = [bundle.operating_points() for bundle in bundles]
    recalibrated = points[1] if bundles[1].is_recalibrated() else None
    units = find_units(sets)
    test_set = id_of_test_set(predictions[0].test.image_ids)
    test_images = TestImages.of(sets.filter(pc.equal(sets["split"], "test"))["sha256"].to_pylist())
    use = recorded_uses(metadata, test_set, test_images) + 1
    # A branch can't have changed another class; where it seems so, that is judged, not its recipe.
    kept = set(label_map) - {target} if bundles[1].leaves_other_classes() else None
    comparison = compare(
        *predictions,
        label_map.names,
        target,
        gate,
        points[0],
        recalibrated,
        units.of_image,
        confidence_of_use(use),
        points[1],
        kept,
    )
    judgement = judge(
        comparison.evidence,
        target,
        gate,
        _place(comparison, target, recalibrated),
        _notes(bundles[0], gate),
    )
    verdict = to_json(
        judgement,
        comparison.evidence,
        target,
        {
            "settings": vars(gate),
            "units": {split: units.sentence(split) for split in ("eval", "test")},
            "recalibrated": recalibrated is not None,
            "recall": _recalls(comparison, target, recalibrated is not None),
            "at_equal_precision": {
                "champion": comparison.on_test.before,
                "challenger": comparison.on_test.after,
                "change": comparison.on_test.change.change,
                "lower_bound": comparison.on_test.change.lower_bound,
            },
            "thresholds_known": bundles[0].brings_operating_points(),
            "champion": champion.get_string_custom_property("champion"),
            "snapshot": snapshot.get_string_custom_property("content_hash"),
            "code_version": code_version,
            "run": os.environ.get(RUN_VARIABLE),
            "test_uses": use,
            "confidence": confidence_of_use(use),
        },
    )
    summaries = [
        summarize(found.test.boxes, found.test.detections, found.test.image_ids, label_map.names)
        for found in predictions
    ]
    folder = Path(evaluation.uri)
    folder.mkdir(parents=True, exist_ok=True)
    write_report(
        folder / REPORT,
        verdict,
        comparison,
        summaries,
        json.loads(Path(diagnosis.uri, "diagnosis.json").read_text()),
        Path(examples.uri),
    )
    (folder / VERDICT).write_text(json.dumps(verdict, indent=1))
    evaluation.set_string_custom_property(TEST_SET, test_set)
    evaluation.set_string_custom_property(TEST_IMAGES, str(test_images))
    evaluation.set_string_custom_property("verdict", judgement.verdict)
    blessed = judgement.verdict == PUSH
    Path(blessing.uri).mkdir(parents=True, exist_ok=True)
    Path(blessing.uri, "BLESSED" if blessed else "NOT_BLESSED").touch()
    blessing.set_int_custom_property("blessed", int(blessed))
    blessing.set_string_custom_property("verdict", judgement.verdict)
    say(f"verdict: {judgement.verdict}")
    for reason in judgement.reasons:
        say(reason)


def _place(
    comparison: Comparison, target: str, recalibrated: dict[str, float] | None
) -> str | None:
    if recalibrated is None:
        return None
    before, after = comparison.champion_points[target], comparison.challenger_points[target]
    return f"by moving its threshold from {before:.3f} to {after:.3f}"


def _notes(champion: Bundle, gate: GateSettings) -> list[str]:
    """What stands beside the verdict: whether the champion's thresholds in production are known."""
    if gate.score_threshold is not None:
        carried = champion.operating_points() if champion.brings_operating_points() else {}
        others = sum(point != gate.score_threshold for point in carried.values())
        if not others:
            return []
        return [
            f"Production is taken to cut at {gate.score_threshold:g} for every class, as "
            f"score_threshold says; the champion carries another threshold for {others} of them."
        ]
    return [] if champion.brings_operating_points() else [THRESHOLDS_UNKNOWN]


def _recalls(comparison: Comparison, target: str, recalibrated: bool) -> dict[str, float | None]:
    """The target's: as deployed, with another threshold, after training."""
    own = comparison.of(target)
    return {
        "as_deployed": own.served.recall.before,
        "recalibrated": own.challenger_recall if recalibrated else own.champion_recall,
        "trained": None if recalibrated else own.challenger_recall,
    }
