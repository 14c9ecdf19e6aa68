"""The gate's rules: from evidence on each class to a verdict with its reasons in words.

A new rule is a function `(evidence, context) -> Finding | None` in `RULES`, with its kind in words
in `verdict.ABOUT` and its test in tests/classlift/gate. The verdict is the worst level that a rule
finds.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from scipy import stats

from classlift.errors import EvaluationError
from classlift.gate.class_evidence import (
    AP50,
    BOXES,
    PRECISION,
    RECALL,
    SERVED_RECALL,
    ClassEvidence,
)
from classlift.gate.summaries import summaries
from classlift.gate.verdict import (
    CANT_TELL,
    DOUBT,
    INCONCLUSIVE,
    LIFTED,
    NOT_LIFTED,
    NOT_READ,
    NOT_WORSE,
    NOTE,
    PUSH,
    REFUSAL,
    REFUSE,
    REGRESSED,
    UNCHANGED,
    Finding,
)
from classlift.metrics.paired import SAME_BOXES
from classlift.metrics.statistics import CONFIDENCE, holm, objects_needed
from classlift.settings.gate import GUARANTEED, GateSettings

REGRESSION_ALPHA = 0.20
"""Family-wise over the other classes' recall and precision: a regression is costlier than a refused
model."""

SURE_ALPHA = 0.05
"""Alpha of AP50, and of the boxes, each family-wise over the other classes: these move a little
with any training, so only what surely fell counts."""

FAMILIES = (
    ((RECALL, SERVED_RECALL, PRECISION), REGRESSION_ALPHA),
    ((AP50,), SURE_ALPHA),
    ((BOXES,), SURE_ALPHA),
)
"""Measures that are tested together, each with its family-wise alpha."""

SIGN_ALPHA = 1 - CONFIDENCE
"""Alpha of the sign test of a lift: five units that all speak for it are the least that can."""


@dataclass(frozen=True)
class Context:
    """What the rules judge by.

    Attributes:
        place: where the target's recalls are read, in words.
        fallen: by class, what surely fell.
        is_new: whether the champion did not know the target.

    """

    target: str
    settings: GateSettings
    place: str
    fallen: Mapping[str, Sequence[str]]
    is_new: bool = False


@dataclass(frozen=True)
class Judgement:
    """The verdict, its findings, and the status of each class."""

    verdict: str
    findings: list[Finding]
    statuses: dict[str, str]
    objects_needed: dict[str, int | None]

    @property
    def reasons(self) -> list[str]:
        """The findings in words."""
        return [finding.sentence for finding in self.findings]


Rule = Callable[[ClassEvidence, Context], Finding | None]


def judge(
    evidence: Sequence[ClassEvidence],
    target: str,
    settings: GateSettings,
    place: str | None = None,
    notes: Sequence[str] = (),
    is_new: bool = False,
) -> Judgement:
    """Judges a challenger.

    `push`: the target is lifted and every other class unchanged or not worse, at the precision
    asked for and on its floor. `refuse`: the target is not lifted, or something regressed, lost its
    precision or missed its floor. `inconclusive`: only missing data stand in the way.

    Args:
        evidence: on each class.
        target: the class that was to be raised.
        settings: what the gate asks.
        place: where the target's recalls are read, in words; what the settings say by default.
        notes: sentences that are to stand beside the verdict.
        is_new: whether the champion did not know the target.

    Returns:
        The verdict with its findings.

    Raises:
        EvaluationError: the target has no evidence.

    """
    own = next((e for e in evidence if e.label == target), None)
    if own is None or own.objects == 0:
        raise EvaluationError(
            f"The test split has no object of class {target}: label some, nothing can be proven."
        )
    others = [e for e in evidence if e.label != target]
    context = Context(
        target, settings, place or _place(settings), _fallen(others, settings), is_new
    )
    found = [(rule(e, context), rule) for rule in RULES for e in (own, *others)]
    findings = [
        replace(finding, rule=rule.__name__) for finding, rule in found if finding is not None
    ]
    levels = {finding.level for finding in findings}
    statuses = {e.label: _status(e, context) for e in others}
    statuses[target] = _status_of_target(findings, target)
    findings += [
        Finding(NOTE, None, sentence)
        for sentence in (*summaries(evidence, statuses, target, settings), *notes)
    ]
    needed = {e.label: _needed(e, settings) for e in others if statuses[e.label] == CANT_TELL}
    verdict = REFUSE if REFUSAL in levels else INCONCLUSIVE if DOUBT in levels else PUSH
    return Judgement(verdict, findings, statuses, needed)


def _place(settings: GateSettings) -> str:
    if settings.score_threshold is not None:
        return f"at the score threshold {settings.score_threshold:g}"
    sure = "guaranteed" if settings.operating_points == GUARANTEED else "matched"
    return f"at {sure} precision {settings.precision:.2f}"


# Rules of the target.


def lift(e: ClassEvidence, context: Context) -> Finding | None:
    """The target's recall rose: enough, for sure, and not at the cost of the ranking."""
    if e.label != context.target:
        return None
    settings = context.settings
    figures = (
        f"its recall goes from {e.champion_recall:.3f} to {e.challenger_recall:.3f} "
        f"{context.place}, a lift of {e.recall.change:+.3f} with lower bound "
        f"{e.recall.lower_bound:+.3f} (asked: at least {settings.min_lift:.2f}, bound above 0)"
    )
    more = "label more test objects of it"
    if e.hole is not None:
        return Finding(REFUSAL, e.label, f"Class {e.label} is not lifted: {e.hole}.")
    if e.challenger_ap50 < e.champion_ap50:
        return Finding(
            REFUSAL,
            e.label,
            f"Class {e.label} is not lifted: {figures}, but its AP50 fell from "
            f"{e.champion_ap50:.3f} to {e.challenger_ap50:.3f}.",
        )
    if e.recall.change < settings.min_lift:
        return Finding(REFUSAL, e.label, f"Class {e.label} is not lifted: {figures}.")
    if e.recall.lower_bound <= 0:
        return Finding(DOUBT, e.label, f"Class {e.label} may be lifted: {figures}; {more}.", more)
    chance = float(stats.binom.cdf(e.lost, e.gained + e.lost, 0.5))
    if chance > SIGN_ALPHA:
        return Finding(
            DOUBT,
            e.label,
            f"Class {e.label} may be lifted: {figures}; but {e.gained} units of test speak for it "
            f"and {e.lost} against it, which chance does with p = {chance:.3f}; {more}.",
            more,
        )
    return Finding(NOTE, e.label, f"Class {e.label} is lifted: {figures}.")


def boxes_of_target(e: ClassEvidence, context: Context) -> Finding | None:
    """The boxes of the target fit as before, of those objects that both models find."""
    if e.label != context.target or e.boxes is None:
        return None
    before, after, change = e.boxes
    figures = (
        f"the mean IoU of the objects that both models find goes from {before:.3f} to {after:.3f}"
    )
    if change.upper_bound < -SAME_BOXES:
        return Finding(REFUSAL, e.label, f"The boxes of class {e.label} fit worse: {figures}.")
    if change.change < -context.settings.max_drop:
        return Finding(
            DOUBT,
            e.label,
            f"The boxes of class {e.label} may fit worse: {figures} ({change.lower_bound:+.3f} to "
            f"{change.upper_bound:+.3f}); label more test objects of it.",
            "label more test objects of it",
        )
    return None


def recall_of_new_class(e: ClassEvidence, context: Context) -> Finding | None:
    """A class that the champion did not know is found as often as asked for, for sure."""
    least = context.settings.min_recall
    if e.label != context.target or not context.is_new or e.hole is not None:
        return None
    # The champion's recall is nothing, so that the lift's bound is the recall's.
    figures = (
        f"the champion did not know it, and its recall is {e.challenger_recall:.3f} with lower "
        f"bound {e.recall.lower_bound:.3f}, where at least {least:.2f} is asked"
    )
    if e.challenger_recall < least:
        return Finding(REFUSAL, e.label, f"Class {e.label} is found too seldom: {figures}.")
    if e.recall.lower_bound < least:
        more = "label more test objects of it"
        return Finding(
            DOUBT, e.label, f"Class {e.label} may be found too seldom: {figures}; {more}.", more
        )
    return Finding(NOTE, e.label, f"Class {e.label} is new: {figures}.")


# Rules of the other classes.


def regressed(e: ClassEvidence, context: Context) -> Finding | None:
    """Nothing of another class fell for sure."""
    names = context.fallen.get(e.label, ())
    if not names:
        return None
    falls = []
    for name in names:
        (before, after, change), _ = e.measures(context.settings)[name]
        moved = ""
        if name == SERVED_RECALL:
            old, new = e.served.threshold
            moved = f" as its threshold would move from {old:.3f} to {new:.3f}"
        falls.append(
            f"its {name} fell from {before:.3f} to {after:.3f}{moved} "
            f"({_chance(change.p_worse)}, Holm-corrected at alpha {_alpha_of(name):.2f})"
        )
    return Finding(REFUSAL, e.label, f"Class {e.label} regressed: {', and '.join(falls)}.")


def _chance(p: float) -> str:
    """A p-value in words: none is 0."""
    return f"p = {p:.4f}" if p >= 5e-5 else "p < 0.0001"


def _alpha_of(name: str) -> float:
    return next(alpha for names, alpha in FAMILIES if name in names)


def not_read(e: ClassEvidence, context: Context) -> Finding | None:
    """Another class that may have changed can be read."""
    if e.label == context.target or e.unchanged or e.hole is None:
        return None
    ap50 = ""
    if not math.isnan(e.champion_ap50):
        ap50 = f"; its AP50 on test goes from {e.champion_ap50:.3f} to {e.challenger_ap50:.3f}"
    more = f"label objects of class {e.label} in eval and test"
    return Finding(
        DOUBT,
        e.label,
        f"Class {e.label} is not read, for {e.hole}{ap50}; it may have changed, and would "
        f"be served at the threshold {e.served.threshold.after:.3f}.",
        more,
    )


def in_doubt(e: ClassEvidence, context: Context) -> Finding | None:
    """A drop of another class can be ruled out."""
    if e.label == context.target or _status(e, context) != CANT_TELL:
        return None
    figures, fell = [], []
    doubts = _doubts(e, context.settings)
    for name, ((_, _, change), allowed) in e.measures(context.settings).items():
        if name not in doubts or allowed is None:
            continue
        figures.append(
            f"of its {name} is {change.change:+.3f} with lower bound {change.lower_bound:+.3f}, "
            f"which does not rule out a drop of {allowed:.2f}"
        )
        if change.change <= -allowed:
            fell.append(name)
    needed, settles = _needed(e, context.settings), None
    if fell:
        what = f" of its {' and its '.join(fell)}" if len(figures) > 1 else ""
        advice = f"the measured drop{what} is itself that large"
    elif needed is None:
        advice = "label more test objects of it (so few can't tell how many)"
        settles = f"label more test objects of class {e.label}"
    else:
        advice = f"about {needed} more labelled objects of it would settle it"
        settles = f"about {needed} more labelled test objects of class {e.label}"
    return Finding(
        DOUBT,
        e.label,
        f"Class {e.label}: can't tell; the change {'; that '.join(figures)}; {advice}.",
        settles,
    )


# Rules of all classes.


def precision_on_test(e: ClassEvidence, context: Context) -> Finding | None:
    """The challenger holds the precision asked for on test, where it was asked for.

    Another class whose precision is compared with the champion's answers for the change alone.

    Returns:
        What there is to say, if there is.

    """
    settings = context.settings
    if e.unchanged or (e.label != context.target and PRECISION in e.measures(settings)):
        return None
    floor = settings.precision - settings.precision_tolerance
    if not e.precision_lower < floor:  # NaN, when it detects nothing, is a matter of its recall
        return None
    figures = (
        f"{e.precision:.3f} (between {e.precision_lower:.3f} and {e.precision_upper:.3f}), where "
        f"{settings.precision:.2f} with a tolerance of {settings.precision_tolerance:.2f} is asked"
    )
    if e.precision_upper < floor:
        return Finding(REFUSAL, e.label, f"Class {e.label} lost its precision on test: {figures}.")
    settles, advice = None, "what is measured is itself not enough"
    if e.detections_needed is not None:
        settles = f"about {e.detections_needed} more detections of it on test"
        advice = f"{settles} would tell, if it stays as measured"
    return Finding(
        DOUBT,
        e.label,
        f"Class {e.label} may have lost its precision on test: {figures}; {advice}.",
        settles,
    )


def recall_floor(e: ClassEvidence, context: Context) -> Finding | None:
    """The challenger's recall is on the floor of its class.

    A class below it that training left unchanged is named and no more: no other challenger that
    leaves it alone would do better.

    Returns:
        What there is to say, if there is.

    """
    least = context.settings.recall_floors.get(e.label, 0.0)
    if not e.challenger_recall < least:  # without objects it is in doubt already
        return None
    place = f"below its floor of {least:.2f}: its recall is {e.challenger_recall:.3f}"
    if e.unchanged:
        return Finding(
            NOTE, e.label, f"Class {e.label} is {place}, as before, for it is unchanged."
        )
    upper = e.challenger_recall_upper
    if upper < least:
        return Finding(REFUSAL, e.label, f"Class {e.label} is {place}, at most {upper:.3f}.")
    return Finding(
        DOUBT,
        e.label,
        f"Class {e.label}: can't tell whether it is {place}, but may be up to "
        f"{upper:.3f}; label more test objects of it.",
        f"label more test objects of class {e.label}",
    )


RULES: tuple[Rule, ...] = (
    lift,
    boxes_of_target,
    recall_of_new_class,
    regressed,
    not_read,
    in_doubt,
    precision_on_test,
    recall_floor,
)


def _status(e: ClassEvidence, context: Context) -> str:
    """The status of another class than the target."""
    if e.unchanged:
        return UNCHANGED
    if e.label in context.fallen:
        return REGRESSED
    if e.hole is not None:
        return NOT_READ
    return CANT_TELL if _doubts(e, context.settings) else NOT_WORSE


def _status_of_target(findings: Sequence[Finding], target: str) -> str:
    level = next(finding.level for finding in findings if finding.label == target)
    return {NOTE: LIFTED, DOUBT: CANT_TELL, REFUSAL: NOT_LIFTED}[level]


def _fallen(others: Sequence[ClassEvidence], settings: GateSettings) -> dict[str, list[str]]:
    """What surely fell, by class; what is the same in both models can't have."""
    fallen: dict[str, list[str]] = {}
    for names, alpha in FAMILIES:
        tests = [
            (e.label, name, measure.change.p_worse)
            for e in others
            if not e.unchanged
            for name, (measure, _) in e.measures(settings).items()
            if name in names
        ]
        verdicts = holm([p for *_, p in tests], alpha)
        for (label, name, _), fell in zip(tests, verdicts, strict=True):
            if fell:
                fallen.setdefault(label, []).append(name)
    return fallen


def _doubts(e: ClassEvidence, settings: GateSettings) -> dict[str, int | None]:
    """What may have dropped too far, and how many more objects would settle it."""
    return {
        name: objects_needed(measure.change, e.objects, allowed)
        for name, (measure, allowed) in e.measures(settings).items()
        if allowed is not None and not measure.change.lower_bound > -allowed
    }


def _needed(e: ClassEvidence, settings: GateSettings) -> int | None:
    """How many more objects would settle all that is in doubt; None when no number would."""
    counts = _doubts(e, settings).values()
    known = [count for count in counts if count is not None]
    return max(known) if len(known) == len(counts) else None
