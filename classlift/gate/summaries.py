"""What the gate says of several classes together, beside what its rules say of each."""

import math
from collections.abc import Mapping, Sequence

from classlift.gate.class_evidence import ClassEvidence
from classlift.gate.verdict import NOT_WORSE, UNCHANGED
from classlift.metrics.guarantee import CONFIDENCE
from classlift.settings.gate import GateSettings

SHOWN = 4
"""Classes whose threshold moves that a sentence names; the table has all."""


def summaries(
    evidence: Sequence[ClassEvidence],
    statuses: Mapping[str, str],
    target: str,
    settings: GateSettings,
) -> list[str]:
    """The sentences on the other classes together, on the champion, and on moved thresholds.

    Args:
        evidence: of all classes.
        statuses: the status of each class.
        target: the class that was to be raised.
        settings: what the gate asked.

    Returns:
        Whole sentences, none where there is nothing to say.

    """
    others = [e for e in evidence if e.label != target]
    sentences = []
    same = sum(statuses[e.label] == UNCHANGED for e in others)
    if same:
        sentences.append(
            f"{same} of the {len(others)} other classes are unchanged: the same boxes and scores, "
            "to the bit, at the threshold in production."
        )
    kept = [e for e in others if statuses[e.label] == NOT_WORSE]
    if kept:
        bound, label, name = min(
            (measure.change.lower_bound, e.label, name)
            for e in kept
            for name, (measure, allowed) in e.measures(settings).items()
            if allowed == settings.max_drop
        )
        sentences.append(
            f"{len(kept)} of the {len(others)} other classes are not worse by "
            f"{settings.max_drop:.2f}; the lowest bound is that of class {label}'s {name}, "
            f"{bound:+.3f}."
        )
    own = next(e for e in evidence if e.label == target)
    if math.isinf(own.read_at.before):
        sentences.append(
            f"At no threshold has the champion a precision of {settings.precision:.2f} on eval for "
            f"class {own.label}, which counts as a recall of 0."
        )
    return sentences + _cost_of_guarantee(own, settings) + _moved_thresholds(own, others)


def _cost_of_guarantee(own: ClassEvidence, settings: GateSettings) -> list[str]:
    """What it means that the operating points are guaranteed, and the recall that it costs."""
    if own.guarantee is None:
        return []
    before, after = own.guarantee.measured
    challenger = f"the challenger's recall of class {own.label} on test would be {after:.3f}"
    if own.hole is None:
        challenger += f" instead of {own.challenger_recall:.3f}"
    if not own.guarantee.champion_has_one:
        champion = "; for the champion none is guaranteed, so it is read at its measured one"
    elif own.read_at.before == own.served.threshold.before:
        champion = ""  # it is read as production has it
    else:
        champion = f", and the champion's {before:.3f} instead of {own.champion_recall:.3f}"
    return [
        f"The operating points are guaranteed: were the images of eval drawn anew, the precision "
        f"would be {settings.precision:.2f} or more in at least {CONFIDENCE:.0%} of the cases. At "
        f"measured ones {challenger}{champion}."
    ]


def _moved_thresholds(own: ClassEvidence, others: Sequence[ClassEvidence]) -> list[str]:
    """What a push does to thresholds, and what production would see of it."""
    moved = [e for e in (own, *others) if e.served.threshold.before != e.served.threshold.after]
    if not moved:
        return []
    shown = "; ".join(
        f"class {e.label} from {e.served.threshold.before:.3f} to {e.served.threshold.after:.3f} "
        f"(on test its recall goes from {e.served.recall.before:.3f} to "
        f"{e.served.recall.after:.3f}, its false alarms from {e.served.false_alarms.before:.0f} to "
        f"{e.served.false_alarms.after:.0f})"
        for e in moved[:SHOWN]
    )
    rest = f"; and {len(moved) - SHOWN} more" if len(moved) > SHOWN else ""
    stay = "; every other one stays" if len(moved) <= len(others) else ""
    return [f"A push moves these score thresholds: {shown}{rest}{stay}."]
