"""The gate's rules: from evidence on each class to a verdict with its reasons in words.

A new rule is a status or a reason here, with its test in tests/components/recall_gate.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from components.errors import EvaluationError
from components.metrics.statistics import Change, holm, objects_needed
from components.recall_gate.settings import GateSettings
from components.recall_gate.verdict import INCONCLUSIVE, PUSH, REFUSE, VERSION

LIFTED, NOT_LIFTED, UNCHANGED = "lifted", "not lifted", "unchanged"
NOT_WORSE, CANT_TELL, REGRESSED = "not worse", "can't tell", "regressed"

REGRESSION_ALPHA = 0.20
"""Family-wise over the other classes: a regression is costlier than a refused model."""


class Measure(NamedTuple):
    """A share before and after, and its change."""

    before: float
    after: float
    change: Change


@dataclass(frozen=True)
class ClassEvidence:
    """One class on test, each model at its own operating point.

    objects: labelled objects. unchanged: boxes and scores are the same bits in both models on
    every image, read at the same operating point. precision and its bounds: the challenger's; NaN
    when it detects nothing. precision_change: None where each model has its own operating points.
    Bounds are one-sided, 95%.
    """

    label: str
    objects: int
    champion_recall: float
    challenger_recall: float
    challenger_recall_upper: float
    recall: Change
    unchanged: bool
    champion_precision: float
    precision: float
    precision_lower: float
    precision_upper: float
    precision_change: Change | None
    champion_ap50: float
    challenger_ap50: float

    def measures(self) -> dict[str, Measure]:
        """What must not fall: the recall, and a precision that can be compared."""
        found = {"recall": Measure(self.champion_recall, self.challenger_recall, self.recall)}
        change = self.precision_change
        if change is not None and not math.isnan(change.change):
            found["precision"] = Measure(self.champion_precision, self.precision, change)
        return found


@dataclass(frozen=True)
class Judgement:
    """The verdict, its reasons, and the status of each class."""

    verdict: str
    reasons: list[str]
    statuses: dict[str, str]
    objects_needed: dict[str, int | None]


def judge(
    evidence: Sequence[ClassEvidence], target: str, settings: GateSettings, place: str | None = None
) -> Judgement:
    """Judges a challenger.

    place: where the target's recalls are read, in words; what the settings say by default.

    `push`: the target is lifted and every other class unchanged or not worse, at the precision
    asked for and on its floor. `refuse`: the target is not lifted, or something regressed, lost its
    precision or missed its floor. `inconclusive`: only missing data stand in the way.

    Raises EvaluationError when the target has no evidence.
    """
    by_label = {e.label: e for e in evidence}
    if target not in by_label or by_label[target].objects == 0:
        raise EvaluationError(
            f"The test split has no object of class {target}: label some, nothing can be proven."
        )
    others = [e for e in evidence if e.label != target]
    statuses = {e.label: _status(e, settings) for e in others}
    fallen = _regressed(others)
    statuses |= dict.fromkeys(fallen, REGRESSED)
    statuses[target], target_reason = _judge_target(by_label[target], settings, place)
    reasons = [target_reason]
    refused, doubts = statuses[target] == NOT_LIFTED, statuses[target] == CANT_TELL
    for e in others:
        if statuses[e.label] == REGRESSED:
            refused = True
            reasons += [_fall(e, what) for what in fallen[e.label]]
        elif statuses[e.label] == CANT_TELL:
            doubts = True
            reasons += _doubt_reasons(e, settings)
    same = sum(statuses[e.label] == UNCHANGED for e in others)
    if same:
        reasons.append(
            f"{same} of the {len(others)} other classes are unchanged: the same boxes and scores, "
            "to the bit."
        )
    kept = [e for e in others if statuses[e.label] == NOT_WORSE]
    if kept:
        bound, label, what = min(
            (measure.change.lower_bound, e.label, what)
            for e in kept
            for what, measure in e.measures().items()
        )
        reasons.append(
            f"{len(kept)} of the {len(others)} other classes are not worse by "
            f"{settings.max_drop:.2f}; the lowest bound is that of class {label}'s {what}, "
            f"{bound:+.3f}."
        )
    for e in evidence:
        for fell, doubt, reason in (
            _judge_precision(e, e.label == target, settings),
            _judge_floor(e, settings),
        ):
            refused, doubts = refused or fell, doubts or doubt
            reasons += [reason] if reason else []
    verdict = REFUSE if refused else INCONCLUSIVE if doubts else PUSH
    needed = {
        e.label: _needed(e, settings)
        for e in others
        if statuses[e.label] == CANT_TELL and e.objects > 0
    }
    return Judgement(verdict, reasons, statuses, needed)


def _status(e: ClassEvidence, settings: GateSettings) -> str:
    if e.unchanged:
        return UNCHANGED
    if e.objects > 0 and not _doubts(e, settings):
        return NOT_WORSE
    return CANT_TELL


def _doubts(e: ClassEvidence, settings: GateSettings) -> dict[str, int | None]:
    """What may have dropped by `max_drop`, and how many more objects would settle it."""
    return {
        what: objects_needed(measure.change, e.objects, settings.max_drop)
        for what, measure in e.measures().items()
        if not measure.change.lower_bound > -settings.max_drop
    }


def _needed(e: ClassEvidence, settings: GateSettings) -> int | None:
    """How many more objects would settle all that is in doubt; None when no number would."""
    counts = _doubts(e, settings).values()
    known = [count for count in counts if count is not None]
    return max(known) if len(known) == len(counts) else None


def _regressed(others: Sequence[ClassEvidence]) -> dict[str, list[str]]:
    """What fell, by class; one that is the same in both models, or has no objects, can't have."""
    tests = [
        (e.label, what, measure.change.p_worse)
        for e in others
        if not e.unchanged and e.objects > 0
        for what, measure in e.measures().items()
    ]
    fallen: dict[str, list[str]] = {}
    for (label, what, _), fell in zip(
        tests, holm([p for *_, p in tests], REGRESSION_ALPHA), strict=True
    ):
        if fell:
            fallen.setdefault(label, []).append(what)
    return fallen


def _fall(e: ClassEvidence, what: str) -> str:
    before, after, change = e.measures()[what]
    return (
        f"Class {e.label} regressed: its {what} fell from {before:.3f} to {after:.3f} "
        f"(p = {change.p_worse:.4f}, Holm-corrected at alpha {REGRESSION_ALPHA:.2f})."
    )


def _judge_target(e: ClassEvidence, settings: GateSettings, place: str | None) -> tuple[str, str]:
    if place is None and settings.score_threshold is not None:
        place = f"at the score threshold {settings.score_threshold:g}"
    place = place or f"at matched precision {settings.precision:.2f}"
    figures = (
        f"its recall goes from {e.champion_recall:.3f} to {e.challenger_recall:.3f} {place}, "
        f"a lift of {e.recall.change:+.3f} with lower bound "
        f"{e.recall.lower_bound:+.3f} (asked: at least {settings.min_lift:.2f}, bound above 0)"
    )
    if e.challenger_ap50 < e.champion_ap50:
        return NOT_LIFTED, (
            f"Class {e.label} is not lifted: {figures}, but its AP50 fell from "
            f"{e.champion_ap50:.3f} to {e.challenger_ap50:.3f}."
        )
    if e.recall.change < settings.min_lift:
        return NOT_LIFTED, f"Class {e.label} is not lifted: {figures}."
    if e.recall.lower_bound <= 0:
        return CANT_TELL, (
            f"Class {e.label} may be lifted: {figures}; label more test objects of it."
        )
    return LIFTED, f"Class {e.label} is lifted: {figures}."


def _doubt_reasons(e: ClassEvidence, settings: GateSettings) -> list[str]:
    if e.objects == 0:
        return [f"Class {e.label}: the test split has no object of it, so nothing can be said."]
    reasons = []
    for what, needed in _doubts(e, settings).items():
        change = e.measures()[what].change
        advice = f"about {needed} more labelled objects of it would settle it"
        if needed is None:
            advice = "the measured drop is itself that large"
        reasons.append(
            f"Class {e.label}: can't tell; the change of its {what} is {change.change:+.3f} with "
            f"lower bound {change.lower_bound:+.3f}, which does not rule out a drop of "
            f"{settings.max_drop:.2f}; {advice}."
        )
    return reasons


def _judge_precision(
    e: ClassEvidence, is_target: bool, settings: GateSettings
) -> tuple[bool, bool, str]:
    """(refused, doubtful, reason): whether the challenger holds the precision asked for on test.

    Another class whose precision is compared with the champion's answers for the change alone.
    """
    if e.unchanged or ("precision" in e.measures() and not is_target):
        return False, False, ""
    floor = settings.precision - settings.precision_tolerance
    if not e.precision < floor:  # NaN, when it detects nothing, is a matter of its recall
        return False, False, ""
    figures = (
        f"{e.precision:.3f} (between {e.precision_lower:.3f} and {e.precision_upper:.3f}), where "
        f"{settings.precision:.2f} with a tolerance of {settings.precision_tolerance:.2f} is asked"
    )
    if e.precision_upper < floor:
        return True, False, f"Class {e.label} lost its precision on test: {figures}."
    return False, True, f"Class {e.label} may have lost its precision on test: {figures}."


def _judge_floor(e: ClassEvidence, settings: GateSettings) -> tuple[bool, bool, str]:
    """(refused, doubtful, reason): whether the challenger's recall is on the floor of its class.

    A class below it that training left unchanged is named and no more: no other challenger that
    leaves it alone would do better.
    """
    floor = settings.recall_floors.get(e.label, 0.0)
    if not e.challenger_recall < floor:  # without objects it is in doubt already
        return False, False, ""
    place = f"below its floor of {floor:.2f}: its recall is {e.challenger_recall:.3f}"
    if e.unchanged:
        return False, False, f"Class {e.label} is {place}, as before, for it is unchanged."
    if e.challenger_recall_upper < floor:
        return (
            True,
            False,
            (f"Class {e.label} is {place}, at most {e.challenger_recall_upper:.3f}."),
        )
    return (
        False,
        True,
        (
            f"Class {e.label}: can't tell whether it is {place}, but may be up to "
            f"{e.challenger_recall_upper:.3f}; label more test objects of it."
        ),
    )


def to_json(
    judgement: Judgement, evidence: Sequence[ClassEvidence], target: str, extra: Mapping[str, Any]
) -> dict[str, Any]:
    """`verdict.json`, version 1; NaN becomes null."""
    classes = {
        e.label: {
            "objects": e.objects,
            "champion_recall": e.champion_recall,
            "challenger_recall": e.challenger_recall,
            "challenger_recall_upper": e.challenger_recall_upper,
            "lift": e.recall.change,
            "lower_bound": e.recall.lower_bound,
            "upper_bound": e.recall.upper_bound,
            "status": judgement.statuses[e.label],
            "minimum_detectable_drop": e.recall.minimum_detectable_drop,
            "objects_needed": judgement.objects_needed.get(e.label),
            "champion_precision": e.champion_precision,
            "precision": e.precision,
            "precision_lower": e.precision_lower,
            "precision_change": vars(e.precision_change) if e.precision_change else None,
            "champion_ap50": e.champion_ap50,
            "challenger_ap50": e.challenger_ap50,
        }
        for e in evidence
    }
    verdict = {
        "version": VERSION,
        "verdict": judgement.verdict,
        "target": target,
        "reasons": judgement.reasons,
        "classes": classes,
        "pushed": None,
        **extra,
    }
    cleaned: dict[str, Any] = _without_nan(verdict)
    return cleaned


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and value != value else value
