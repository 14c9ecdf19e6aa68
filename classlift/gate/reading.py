"""How the gate reads both models: at which thresholds, and which classes can't be read."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from classlift.errors import EvaluationError
from classlift.metrics.curves import NEVER
from classlift.metrics.matching import Matches
from classlift.metrics.thresholds import Chosen, champions_point, choose
from classlift.settings.gate import MATCHED, GateSettings

POINT_TOLERANCE = 1e-4
"""The most that scores differ between the trainer's process and this one: kernels may sum in
another order."""


@dataclass(frozen=True)
class ModelMatches:
    """One model's detections on the two splits that the gate reads, matched to the labels.

    Attributes:
        eval: where every choice is made.
        test: what is judged by.

    """

    eval: Matches
    test: Matches


@dataclass(frozen=True)
class Reading:
    """Both models with the thresholds at which they are read.

    Attributes:
        champion: the model in production.
        challenger: the newly trained model.
        labels: all classes.
        target: the class that was to be raised.
        settings: what the gate asks.
        recalibrated: whether each is read at its threshold in production, also the target.
        deployed: the champion's score thresholds in production, by class.
        served: those that the challenger is served with.
        points: those at which champion and challenger are read; infinite where there is none.
        chosen_on_eval: the classes whose threshold was, so that it has a doubt of its own.
        holes: why a class can't be read, in words, by class; None where it can.
        unchanged: the classes whose detections on test are the same bits, at the same threshold.

    """

    champion: ModelMatches
    challenger: ModelMatches
    labels: Sequence[str]
    target: str
    settings: GateSettings
    recalibrated: bool
    deployed: dict[str, float]
    served: dict[str, float]
    points: tuple[dict[str, float], dict[str, float]]
    chosen_on_eval: Sequence[str]
    holes: Mapping[str, str | None]
    unchanged: Set[str]

    @property
    def is_fixed(self) -> bool:
        """Whether thresholds are given, and none is chosen for a precision."""
        return _is_fixed(self.settings, self.recalibrated)

    @property
    def on_test(self) -> tuple[Matches, Matches]:
        """Champion and challenger on test."""
        return self.champion.test, self.challenger.test


def read_models(
    champion: ModelMatches,
    challenger: ModelMatches,
    labels: Sequence[str],
    target: str,
    settings: GateSettings,
    deployed_points: Mapping[str, float],
    same: Set[str],
    served: Mapping[str, float] | None,
    kept: Set[str],
    recalibrated: bool,
) -> Reading:
    """Chooses the thresholds at which both models are read; the arguments are those of `weigh`.

    Returns:
        Both models with their thresholds.

    Raises:
        EvaluationError: `served` are not the thresholds that the settings ask for.

    """
    deployed = dict(deployed_points)
    if settings.score_threshold is not None:  # production cuts there, whatever a model carries
        deployed = dict.fromkeys(labels, settings.score_threshold)
    chosen = choose(settings, {target}, deployed, challenger.eval, champion.eval, kept)
    if served is not None and not recalibrated:
        _require_same(served, chosen)
    served = {label: choice.threshold for label, choice in chosen.items()} | dict(served or {})
    holes = _holes(champion, chosen, target, settings, recalibrated)
    unchanged = {label for label in same if deployed[label] == served[label]}
    return Reading(
        champion=champion,
        challenger=challenger,
        labels=labels,
        target=target,
        settings=settings,
        recalibrated=recalibrated,
        deployed=deployed,
        served=served,
        points=_read_at(champion.eval, chosen, target, settings, deployed, served, recalibrated),
        chosen_on_eval=[
            label
            for label, choice in chosen.items()
            if choice.precision is not None
            and label not in unchanged
            and not recalibrated
            and holes[label] is None
        ],
        holes=holes,
        unchanged=unchanged,
    )


def _is_fixed(settings: GateSettings, recalibrated: bool) -> bool:
    return recalibrated or settings.score_threshold is not None


def _require_same(served: Mapping[str, float], chosen: Mapping[str, Chosen]) -> None:
    """Raises EvaluationError unless the challenger carries the thresholds that are chosen here."""
    fits = served.keys() <= chosen.keys() and all(
        math.isclose(threshold, chosen[label].threshold, abs_tol=POINT_TOLERANCE)
        for label, threshold in served.items()
    )
    if not fits:
        raise EvaluationError(
            "The challenger carries other operating points than the eval split or the score "
            "threshold gives: it was not trained on this data with these settings; run the trainer "
            "again."
        )


def _read_at(
    champion: Matches,
    chosen: Mapping[str, Chosen],
    target: str,
    settings: GateSettings,
    deployed: Mapping[str, float],
    served: Mapping[str, float],
    recalibrated: bool,
) -> tuple[dict[str, float], dict[str, float]]:
    """The thresholds at which the two models are read, the challenger's being those served.

    The target, and with `matched` all classes, are read at the precision of the settings.

    Args:
        champion: its matches on eval.
        chosen: the challenger's thresholds, by class.
        target: the class that was to be raised.
        settings: what the gate asks.
        deployed: the champion's in production.
        served: those that the challenger is served with.
        recalibrated: each is read at its threshold in production.

    Returns:
        The champion's and the challenger's, by class; `NEVER` where the target does not reach the
        precision.

    """
    before, after = dict(deployed), dict(served)
    if _is_fixed(settings, recalibrated):
        return before, after
    for label in chosen if settings.thresholds == MATCHED else [target]:
        point = champions_point(champion, label, settings)
        if point != NEVER or label == target:
            before[label] = point
    if chosen[target].hole is not None:
        after[target] = NEVER
    return before, after


def _holes(
    champion: ModelMatches,
    chosen: Mapping[str, Chosen],
    target: str,
    settings: GateSettings,
    recalibrated: bool,
) -> dict[str, str | None]:
    """Why a class can't be read, in words, by class; None where it can."""
    is_fixed = _is_fixed(settings, recalibrated)
    holes = {}
    on_eval, on_test = (set(split.objects["label"]) for split in (champion.eval, champion.test))
    for label, choice in chosen.items():
        hole = choice.hole
        if label not in on_eval and not is_fixed:
            hole = f"eval has no object of class {label}"
        elif label not in on_test:
            hole = f"test has no object of class {label}"
        elif (
            settings.thresholds == MATCHED
            and not is_fixed
            and label != target
            and champions_point(champion.eval, label, settings) == NEVER
        ):
            hole = (
                f"at no threshold has the champion a precision of {settings.precision:.2f} on eval "
                f"for class {label}"
            )
        holes[label] = hole
    return holes
