"""What `import classlift` gives: the pieces of ClassLift, each on its own."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from classlift.data.formats.coco_results import read_coco_results
from classlift.data.label_map import LabelMap
from classlift.data.predictions import Predictions
from classlift.data.snapshot import Snapshot, Source, take_snapshot
from classlift.diagnosis.diagnosis import Diagnosis
from classlift.errors import ConfigError
from classlift.gate.evidence import Comparison, ModelPredictions
from classlift.gate.predictions import gate_predictions
from classlift.gate.several import gate_each
from classlift.gate.verdict import Verdict
from classlift.progress import show_by_default
from classlift.quality.findings import Finding
from classlift.quality.validate import validate as _validate
from classlift.settings.gate import GateSettings

__all__ = [
    "Comparison",
    "Diagnosis",
    "Finding",
    "GateSettings",
    "ModelPredictions",
    "Predictions",
    "Snapshot",
    "Verdict",
    "compare",
    "diagnose",
    "gate_models",
    "gate_targets",
    "read_coco_results",
    "snapshot",
    "validate",
]


def snapshot(labels: str | Path, format: str | None = None) -> Snapshot:
    """Reads labels and images of any format that ClassLift knows into tables.

    Args:
        labels: a COCO `.json`, a `.record`, or a folder of labels.
        format: name of the format, where the path does not tell it.

    Returns:
        The tables of images and boxes, and a hash of what they say.

    Raises:
        DataError: the labels can't be read, or there are none.

    """
    show_by_default()
    return take_snapshot([Source(Path(labels).resolve(), format=format)])


def validate(
    data: Snapshot, folder: str | Path, label_map: str | Path | None = None
) -> list[Finding]:
    """Checks labels and images, and writes the report of it.

    Args:
        data: what `snapshot` read.
        folder: for `report.html`, `findings.json` and Data Docs.
        label_map: file of the model's classes, by whichever of its two names labels have them; by
            default all labelled classes.

    Returns:
        The broken rules, each with its severity (`critical`, `warning`, `info`) and its places.

    Raises:
        DataError: the label map can't be read.

    """
    show_by_default()
    if label_map is None:
        labels = tuple(sorted(data.boxes["label"].unique().to_pylist()))
    else:
        known = LabelMap.read(Path(label_map))
        data, labels = data.with_names(known.renamed), known.names
    return _validate(data, labels, (), 0, Path(folder))


def diagnose(model: str | Path, data: Snapshot, target: str, precision: float = 0.80) -> Diagnosis:
    """Says why a class is weak and what to do about it, without training.

    Args:
        model: a folder to train, a version that ClassLift served, or an exported SavedModel.
        data: what `snapshot` read; a part of it stands for what the model was trained on.
        target: the weak class.
        precision: 0 to 1, at which recalls are read.

    Returns:
        The causes and the recipe that follows; `Diagnosis.write` keeps it.

    Raises:
        ConfigError: TensorFlow or protobuf was imported before, in an environment in which the
            model can't be loaded.
        ModelError: the model can't be read.
        DataError: the model does not have the class, or the data do not show it.

    """
    from classlift.detectors.backends import ENVIRONMENTS, backend_of

    show_by_default()
    needed = ENVIRONMENTS[backend_of(Path(model)) or "od_api"]
    missing = {name: value for name, value in needed.items() if os.environ.get(name) != value}
    if missing and {"tensorflow", "google.protobuf.internal"} & set(sys.modules):
        said = " ".join(f"{name}={value}" for name, value in missing.items())
        raise ConfigError(f"{model}: start Python with {said}, or use `classlift diagnose`.")
    os.environ.update(missing)
    from classlift.diagnosis import standalone

    with TemporaryDirectory(prefix="classlift-") as folder:
        parts = standalone.judged_on_the_rest(data)
        return standalone.diagnose_model(
            Path(model).resolve(), parts, target, precision, Path(folder)
        )


def compare(
    champion: ModelPredictions,
    challenger: ModelPredictions,
    target: str,
    settings: GateSettings | None = None,
) -> Comparison:
    """Compares two models class by class, at matched precision, without judging.

    Args:
        champion: predictions of the model in production on eval, where every choice is made, and
            on test.
        challenger: those of the new model on the same images.
        target: the class that was to be raised.
        settings: what the gate asks; the defaults where it is None.

    Returns:
        The evidence on each class.

    Raises:
        EvaluationError: the models were shown different images, or no class has that name.

    """
    return gate_predictions(champion, challenger, target, settings).comparison


def gate_models(
    champion: ModelPredictions,
    challenger: ModelPredictions,
    target: str,
    settings: GateSettings | None = None,
    thresholds: Mapping[str, float] | None = None,
    use: int = 1,
) -> Verdict:
    """Gives the gate's verdict on a new model: `push`, `refuse` or `inconclusive`, with reasons.

    Args:
        champion: predictions of the model in production on eval, where every choice is made, and
            on test, which is judged by.
        challenger: those of the new model on the same images.
        target: the class that was to be raised.
        settings: what the gate asks; the defaults where it is None.
        thresholds: the score thresholds in production, 0 to 1, by class; by default 0.5 for all,
            and the verdict says so.
        use: which look at this test set it is, from 1: each one is charged.

    Returns:
        The verdict; `Verdict.write` keeps it.

    Raises:
        EvaluationError: the models were shown different images, the target has no object on test,
            or a detection is none.

    """
    gated = gate_predictions(
        champion, challenger, target, settings, champion_thresholds=thresholds, use=use
    )
    return gated.verdict


def gate_targets(
    champion: ModelPredictions,
    challenger: ModelPredictions,
    targets: Sequence[str],
    settings: GateSettings | None = None,
    thresholds: Mapping[str, float] | None = None,
    use: int = 1,
) -> dict[str, Verdict]:
    """Gives a verdict on each of several classes that a new model was to raise, one by one.

    For a model that answers each of them apart, as a branch of its own does, and has changed no
    other class: each is judged as if it alone were pushed. They share the error of the bounds
    (Bonferroni), so that it takes more test objects to prove a lift of each.

    Args:
        champion: predictions of the model in production on eval, where every choice is made, and
            on test, which is judged by.
        challenger: those of the new model on the same images.
        targets: the classes that were to be raised, each once.
        settings: what the gate asks; the defaults where it is None.
        thresholds: the score thresholds in production, 0 to 1, by class; by default 0.5 for all,
            and the verdicts say so.
        use: which look at this test set it is, from 1: each one is charged.

    Returns:
        By target its verdict, in their order.

    Raises:
        EvaluationError: there is no target, or one twice; a class that is none has changed; the
            models were shown different images, a target has no object on test, or a detection is
            none.

    """
    gated = gate_each(champion, challenger, targets, settings, thresholds, use)
    return {target: found.verdict for target, found in gated.items()}
