"""The gate on two sets of predictions, wherever they come from: no model, no pipeline, no files."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from classlift.data.units import HELD_OUT, Units
from classlift.errors import EvaluationError
from classlift.gate.class_evidence import ClassEvidence
from classlift.gate.evidence import Comparison, ModelPredictions, compare
from classlift.gate.rules import Judgement, judge
from classlift.gate.uses import confidence_of_use
from classlift.gate.verdict import (
    ClassResult,
    EqualPrecision,
    TargetRecall,
    UnitWords,
    Verdict,
    storable,
)
from classlift.serving.bundle import DEFAULT_THRESHOLD
from classlift.settings.gate import GateSettings
from classlift.text import did_you_mean


@dataclass(frozen=True)
class Origin:
    """What a verdict says of where it comes from.

    Attributes:
        champion: name of the champion, such as `version 7`.
        snapshot: content hash of the snapshot; empty where there is none.
        code_version: of the ClassLift that judges; empty where nobody asked.
        run: id of the run; None outside one.

    """

    champion: str = "champion"
    snapshot: str = ""
    code_version: str = ""
    run: str | None = None


class Gated(NamedTuple):
    """A verdict, and the comparison that it rests on."""

    verdict: Verdict
    comparison: Comparison


def gate_predictions(
    champion: ModelPredictions,
    challenger: ModelPredictions,
    target: str,
    settings: GateSettings | None = None,
    *,
    labels: Sequence[str] | None = None,
    champion_thresholds: Mapping[str, float] | None = None,
    challenger_thresholds: Mapping[str, float] | None = None,
    thresholds_known: bool | None = None,
    recalibrated: bool = False,
    left_alone: Set[str] | None = None,
    units: Units | None = None,
    use: int = 1,
    origin: Origin | None = None,
    notes: Sequence[str] = (),
    new: Set[str] = frozenset(),
    targets: int = 1,
) -> Gated:
    """Compares two models class by class, and gives the verdict.

    Args:
        champion: predictions of the model in production on eval, where every choice is made, and
            on test, which is judged by.
        challenger: predictions of the new model on the same images.
        target: the class that was to be raised.
        settings: what the gate asks; the defaults where it is None.
        labels: all classes, in the order in which they are to be shown; by default those that
            labels or predictions name, sorted.
        champion_thresholds: by class the score threshold in production, 0 to 1; by default
            `DEFAULT_THRESHOLD` for all, and the verdict says so.
        challenger_thresholds: those that the challenger carries; by default those that the
            settings ask for, chosen on eval.
        thresholds_known: whether `champion_thresholds` are those of production, and not assumed;
            by default whether they are given.
        recalibrated: whether the challenger is the champion with another threshold for the target,
            and nothing else.
        left_alone: classes that training can't have changed; by default those whose detections on
            eval are the same bits in both models.
        units: which images are one sample, as `find_units` gives them; by default each image is its
            own.
        use: which look at this test set it is, from 1: each one is charged.
        origin: what the verdict says of where it comes from.
        notes: sentences that are to stand beside the verdict.
        new: classes that the champion does not know, of which a recall is asked.
        targets: how many targets are judged in this look; they share the error of its bounds.

    Returns:
        The verdict, with nothing written yet, and the comparison with all its figures.

    Raises:
        EvaluationError: the models were shown different images, the target has no object on test,
            a detection is none, or the thresholds are not those that the settings ask for.

    """
    asked = settings or GateSettings()
    classes = tuple(labels) if labels is not None else named_classes(champion, challenger)
    if target not in classes:
        raise EvaluationError(
            f"No class is called {target!r:.80}{did_you_mean(target, classes)}; there are: "
            f"{', '.join(classes) or 'none'}."
        )
    deployed = dict(champion_thresholds or dict.fromkeys(classes, DEFAULT_THRESHOLD))
    missing = [label for label in classes if label not in deployed]
    if missing:
        raise EvaluationError(f"Class {missing[0]} has no score threshold in production; give one.")
    if thresholds_known is None:
        thresholds_known = champion_thresholds is not None
        if not thresholds_known and asked.score_threshold is None:
            notes = (*notes, THRESHOLDS_ASSUMED)
    sampled = units or each_image_its_own(champion)
    confidence = confidence_of_use(use * targets)
    comparison = compare(
        champion,
        challenger,
        classes,
        target,
        asked,
        deployed,
        challenger_thresholds if recalibrated else None,
        sampled.of_image,
        confidence,
        challenger_thresholds,
        left_alone,
    )
    place = _place(comparison, target) if recalibrated else None
    judgement = judge(comparison.evidence, target, asked, place, notes, target in new)
    source = origin or Origin()
    own, on_test = comparison.of(target), comparison.on_test
    verdict = Verdict(
        verdict=judgement.verdict,
        target=target,
        findings=tuple(judgement.findings),
        classes=class_results(comparison.evidence, judgement),
        settings=asked,
        units=UnitWords(*(sampled.sentence(split) for split in HELD_OUT)),
        recalibrated=recalibrated,
        recall=TargetRecall(
            as_deployed=own.served.recall.before,
            recalibrated=own.challenger_recall if recalibrated else own.champion_recall,
            trained=None if recalibrated else own.challenger_recall,
        ),
        at_equal_precision=EqualPrecision(
            on_test.before, on_test.after, on_test.change.change, on_test.change.lower_bound
        ),
        thresholds_known=thresholds_known,
        champion=source.champion,
        snapshot=source.snapshot,
        code_version=source.code_version,
        run=source.run,
        test_uses=use,
        confidence=confidence,
    )
    return Gated(verdict, comparison)


THRESHOLDS_ASSUMED = (
    "The score thresholds in production are not known, for none were given: "
    f"{DEFAULT_THRESHOLD} is assumed for every class."
)
"""Said where the champion is read at thresholds that nobody gave."""


def each_image_its_own(model: ModelPredictions) -> Units:
    """The units of images of which nothing is known but their names."""
    counts = [len(split.image_ids) for split in (model.eval, model.test)]
    return Units(
        of_image={},
        reasons=dict.fromkeys(HELD_OUT, ()),
        counts={split: (count, count) for split, count in zip(HELD_OUT, counts, strict=True)},
    )


def named_classes(*models: ModelPredictions) -> tuple[str, ...]:
    """The classes that labels or detections name, sorted."""
    tables = [
        table
        for m in models
        for split in (m.eval, m.test)
        for table in (split.boxes, split.detections)
    ]
    return tuple(sorted({str(label) for table in tables for label in table["label"].to_pylist()}))


def _place(comparison: Comparison, target: str) -> str:
    before, after = comparison.champion_points[target], comparison.challenger_points[target]
    return f"by moving its threshold from {before:.3f} to {after:.3f}"


def class_results(
    evidence: Sequence[ClassEvidence], judgement: Judgement
) -> dict[str, ClassResult]:
    """What a verdict keeps of each class, by class in the order of the evidence."""
    return {e.label: _result(e, judgement) for e in evidence}


def _result(e: ClassEvidence, judgement: Judgement) -> ClassResult:
    return storable(
        ClassResult(
            objects=e.objects,
            status=judgement.statuses[e.label],
            not_read=e.hole,
            read_at=e.read_at,
            served=e.served,
            champion_recall=e.champion_recall,
            challenger_recall=e.challenger_recall,
            challenger_recall_upper=e.challenger_recall_upper,
            lift=e.recall.change,
            lower_bound=e.recall.lower_bound,
            upper_bound=e.recall.upper_bound,
            minimum_detectable_drop=e.recall.minimum_detectable_drop,
            objects_needed=judgement.objects_needed.get(e.label),
            units_gained=e.gained,
            units_lost=e.lost,
            served_recall_change=e.served_recall,
            champion_precision=e.champion_precision,
            precision=e.precision,
            precision_lower=e.precision_lower,
            precision_change=e.precision_change,
            champion_ap50=e.champion_ap50,
            challenger_ap50=e.challenger_ap50,
            ap50_change=e.ap50,
            mean_iou=e.boxes,
        )
    )
