"""The gate on several targets of one challenger: each is judged as if it alone were pushed."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from classlift.data.predictions import Predictions
from classlift.data.units import Units
from classlift.errors import EvaluationError
from classlift.gate.evidence import ModelPredictions, require_same_images
from classlift.gate.predictions import Gated, Origin, gate_predictions, named_classes
from classlift.gate.verdict import INCONCLUSIVE, PUSH, REFUSE, Verdict
from classlift.metrics.thresholds import same_bits
from classlift.settings.gate import GateSettings


def gate_each(
    champion: ModelPredictions,
    challenger: ModelPredictions,
    targets: Sequence[str],
    settings: GateSettings | None = None,
    champion_thresholds: Mapping[str, float] | None = None,
    use: int = 1,
    *,
    labels: Sequence[str] | None = None,
    challenger_thresholds: Mapping[str, float] | None = None,
    thresholds_known: bool | None = None,
    recalibrated: bool = False,
    left_alone: Set[str] | None = None,
    units: Units | None = None,
    origin: Origin | None = None,
    notes: Sequence[str] = (),
    new: Set[str] = frozenset(),
) -> dict[str, Gated]:
    """Judges each target by itself: the challenger's detections of it, and the champion's of all
    other classes.

    A challenger whose targets have branches, and which leaves all other classes as they are, gives
    just these answers when the branches of the other targets are left out. So any of the targets
    can be pushed without the others. A single target is judged with all that has changed.

    The one-sided error of the bounds is shared: of m targets each is judged at 1/m of it, so that
    the chance that any bound is wrong stays what it is for one (Bonferroni; Dunn, Multiple
    comparisons among means, Journal of the American Statistical Association 56, 1961).

    Args:
        champion: predictions of the model in production, as `challenger`.
        challenger: those of the new model on the same images.
        targets: the classes that were to be raised.
        settings: what the gate asks; the defaults where it is None.
        champion_thresholds: by class the score threshold in production, 0 to 1; 0.5 for all by
            default.
        use: which look at this test set it is, from 1.
        labels: as all that follow, of `gate_predictions`.
        challenger_thresholds: those that the challenger carries.
        thresholds_known: whether `champion_thresholds` are those of production.
        recalibrated: whether the challenger is the champion with other thresholds.
        left_alone: classes that training can't have changed.
        units: which images are one sample.
        origin: what the verdicts say of where they come from.
        notes: sentences that are to stand beside each verdict.
        new: classes that the champion does not know.

    Returns:
        A verdict for each target, in their order.

    Raises:
        EvaluationError: there is no target, or one twice; of several, another class has changed
            too, so that they can't be pushed one by one; and as `gate_predictions`.

    """
    if not targets or len(set(targets)) < len(targets):
        raise EvaluationError("Name the classes to be judged, at least one and each once.")
    alone = judged(champion, challenger, targets)
    labels = named_classes(champion, challenger) if labels is None else labels
    for label in labels:
        if len(targets) > 1 and label not in targets and not _is_same(champion, challenger, label):
            raise EvaluationError(
                f"Class {label} has changed too and is no target, so that the targets can't be "
                "pushed one by one: judge the challenger as a whole, for one of them."
            )
    found = {}
    for target, predictions in alone.items():
        others = frozenset(targets) - {target}
        points = challenger_thresholds
        if points is not None:  # of a model without the others' branches
            points = {label: point for label, point in points.items() if label not in others}
        if points is not None and recalibrated:
            points |= {label: (champion_thresholds or {})[label] for label in others}
        found[target] = gate_predictions(
            champion,
            predictions,
            target,
            settings,
            labels=labels,
            champion_thresholds=champion_thresholds,
            challenger_thresholds=points,
            thresholds_known=thresholds_known,
            recalibrated=recalibrated,
            left_alone=None if left_alone is None else left_alone | others,
            units=units,
            use=use,
            origin=origin,
            notes=notes,
            new=new,
            targets=len(targets),
        )
    return found


def joined(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on a challenger with several targets: it is pushed for those that are lifted.

    Args:
        verdicts: of each target.

    Returns:
        The first verdict to push, with the others beside it. Where there is none, nothing is
        pushed: then the first one to refuse, or else the first of all. Its classes are those of the
        model that would be served: a target that is left out is as the champion has it.

    """
    if len(verdicts) == 1:
        return verdicts[0]
    found = {verdict.verdict: verdict for verdict in reversed(verdicts)}
    worst = next(word for word in (PUSH, REFUSE, INCONCLUSIVE) if word in found)
    first = found[worst]
    served = {v.target: v for v in verdicts if worst != PUSH or v.verdict == PUSH}
    return replace(
        first,
        classes={label: served.get(label, first).classes[label] for label in first.classes},
        # A run of their own they have none: nothing is pushed or taken back by one of them.
        beside=tuple(replace(v, run=None) for v in verdicts if v is not first),
    )


def judged(
    champion: ModelPredictions, challenger: ModelPredictions, targets: Sequence[str]
) -> dict[str, ModelPredictions]:
    """The predictions that each target is judged by: of several, as if it alone were pushed."""
    if len(targets) == 1:
        return {targets[0]: challenger}
    return {target: with_target_alone(champion, challenger, target) for target in targets}


def with_target_alone(
    champion: ModelPredictions, challenger: ModelPredictions, target: str
) -> ModelPredictions:
    """The challenger's detections of the target, and the champion's of all other classes.

    Returns:
        The predictions.

    Raises:
        EvaluationError: the models were shown different images.

    """
    require_same_images(champion, challenger)
    return ModelPredictions(
        _with_target_alone(champion.eval, challenger.eval, target),
        _with_target_alone(champion.test, challenger.test, target),
    )


def _with_target_alone(champion: Predictions, challenger: Predictions, target: str) -> Predictions:
    is_of_target = pc.equal(champion.detections["label"], target)
    kept = champion.detections.filter(pc.invert(is_of_target))
    new = challenger.detections.filter(pc.equal(challenger.detections["label"], target))
    return replace(champion, detections=pa.concat_tables([kept, new]))


def _is_same(champion: ModelPredictions, challenger: ModelPredictions, label: str) -> bool:
    return all(
        same_bits(before.detections, after.detections, label)
        for before, after in (
            (champion.eval, challenger.eval),
            (champion.test, challenger.test),
        )
    )
