"""The gate on several targets of one challenger: each is judged as if it alone were pushed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from classlift.data.predictions import Predictions
from classlift.errors import EvaluationError
from classlift.gate.evidence import ModelPredictions, require_same_images
from classlift.gate.predictions import Gated, gate_predictions, named_classes
from classlift.metrics.thresholds import same_bits
from classlift.settings.gate import GateSettings


def gate_each(
    champion: ModelPredictions,
    challenger: ModelPredictions,
    targets: Sequence[str],
    settings: GateSettings | None = None,
    champion_thresholds: Mapping[str, float] | None = None,
    use: int = 1,
) -> dict[str, Gated]:
    """Judges each target by itself: the challenger's detections of it, and the champion's of all
    other classes.

    A challenger whose targets have branches, and which leaves all other classes as they are, gives
    just these answers when the branches of the other targets are left out. So any of the targets
    can be pushed without the others.

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

    Returns:
        A verdict for each target, in their order.

    Raises:
        EvaluationError: there is no target, or one twice; another class has changed too, so that
            the targets can't be pushed one by one; and as `gate_predictions`.

    """
    if not targets or len(set(targets)) < len(targets):
        raise EvaluationError("Name the classes to be judged, at least one and each once.")
    alone = {target: with_target_alone(champion, challenger, target) for target in targets}
    labels = named_classes(champion, challenger)
    for label in labels:
        if label not in targets and not _is_same(champion, challenger, label):
            raise EvaluationError(
                f"Class {label} has changed too and is no target, so that the targets can't be "
                "pushed one by one: judge the challenger as a whole, for one of them."
            )
    return {
        target: gate_predictions(
            champion,
            predictions,
            target,
            settings,
            labels=labels,
            champion_thresholds=champion_thresholds,
            use=use,
            targets=len(targets),
        )
        for target, predictions in alone.items()
    }


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
