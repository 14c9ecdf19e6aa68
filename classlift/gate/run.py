"""The gate from end to end: two models' predictions in, a verdict with its report out."""

import logging
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from classlift.data.snapshot import Snapshot
from classlift.data.units import find_units
from classlift.diagnosis.diagnosis import Diagnosis
from classlift.errors import ModelError
from classlift.gate.evidence import ModelPredictions, common_label_map, require_all
from classlift.gate.predictions import Origin
from classlift.gate.report import write_report
from classlift.gate.several import gate_each, joined, judged
from classlift.gate.verdict import REPORT, Verdict
from classlift.metrics.summary import summarize
from classlift.serving.bundle import THRESHOLDS_UNKNOWN, Bundle
from classlift.settings.gate import GateSettings
from classlift.training.depths import Depths
from classlift.training.verified import Verified

logger = logging.getLogger(__name__)


def run(
    champion: Bundle,
    challenger: Bundle,
    champion_predictions: ModelPredictions,
    challenger_predictions: ModelPredictions,
    snapshot: Snapshot,
    targets: Sequence[str],
    settings: GateSettings,
    origin: Origin,
    use: int,
    diagnosis: Path,
    examples: Path,
    folder: Path,
    notes: Sequence[str] = (),
) -> Verdict:
    """Judges a challenger, and writes `verdict.json` and `report.html`.

    Args:
        champion: the model in production.
        challenger: the newly trained model.
        champion_predictions: on eval and test, as `challenger_predictions`.
        challenger_predictions: of the challenger.
        snapshot: the data that both were asked about.
        targets: the classes that were to be raised.
        settings: what the gate asks.
        origin: what the verdict says of where it comes from.
        use: which look at this test set it is, from 1.
        diagnosis: folder of `diagnosis.json`, for the report.
        examples: folder of the Examples, for the report's pictures.
        folder: to write to; made where it is not there.
        notes: sentences that are to stand beside the verdict.

    Returns:
        The verdict, as it was written; of several targets that on the first which is pushed, with
        the others beside it.

    Raises:
        EvaluationError: the models, or what they were shown, can't be compared.

    """
    label_map = common_label_map(champion.label_map(), challenger.label_map())
    models = (champion_predictions, challenger_predictions)
    for name, predictions in zip(("champion", "challenger"), models, strict=True):
        require_all(name, predictions, snapshot.images)
    logger.info("matching, resampling")
    gated = gate_each(
        *models,
        targets,
        settings,
        champion.operating_points(),
        use,
        labels=label_map.names,
        challenger_thresholds=challenger.operating_points(),
        thresholds_known=champion.brings_operating_points(),
        recalibrated=challenger.is_recalibrated(),
        left_alone=classes_left_alone(challenger, targets),
        units=find_units(snapshot.images),
        origin=origin,
        notes=[*notes_on_thresholds(champion, settings), *notes],
        new=frozenset(champion.abilities().unanswered),
    )
    verdict = joined([found.verdict for found in gated.values()])
    folder.mkdir(parents=True, exist_ok=True)
    write_report(
        folder / REPORT,
        verdict,
        {target: found.comparison for target, found in gated.items()},
        [
            summarize(
                model.test.boxes, model.test.detections, model.test.image_ids, label_map.names
            )
            for model in (champion_predictions, judged(*models, targets)[verdict.target])
        ],
        Diagnosis.read(diagnosis),
        examples,
        depths_of(challenger),
        [verified.sentence() for verified in verified_of(challenger)],
    )
    verdict.write(folder)
    return verdict


def depths_of(challenger: Bundle) -> Depths | None:
    """What each depth of its branch gave; None where one alone was trained."""
    return Depths.of(challenger.provenance().training, _damage_of(challenger))


def verified_of(challenger: Bundle) -> list[Verified]:
    """What the verifiers of its branches gave."""
    return Verified.of(challenger.provenance().training, _damage_of(challenger))


def _damage_of(challenger: Bundle) -> Callable[[str], ModelError]:
    def fault(name: str) -> ModelError:
        return ModelError(
            f"{challenger.entry}: its provenance is damaged (`training.{name}` is missing or of "
            "the wrong type); train again."
        )

    return fault


def classes_left_alone(challenger: Bundle, targets: Collection[str]) -> frozenset[str] | None:
    """The classes that the challenger's recipe can't have changed, by what its bundle says.

    A branch of each target, and a recalibration, leave all other classes as they are. Where such a
    class seems to have changed all the same, it is read at the threshold that it keeps, and its
    change is judged.

    Returns:
        All classes but the targets; None where the recipe may have changed any class.

    """
    if not challenger.leaves_other_classes():
        return None
    return frozenset(challenger.label_map()).difference(targets)


def notes_on_thresholds(champion: Bundle, settings: GateSettings) -> list[str]:
    """What stands beside the verdict: whether the champion's thresholds in production are known."""
    if settings.score_threshold is not None:
        carried = champion.operating_points() if champion.brings_operating_points() else {}
        others = sum(point != settings.score_threshold for point in carried.values())
        if not others:
            return []
        return [
            f"Production is taken to cut at {settings.score_threshold:g} for every class, as "
            f"score_threshold says; the champion carries another threshold for {others} of them."
        ]
    return [] if champion.brings_operating_points() else [THRESHOLDS_UNKNOWN]
