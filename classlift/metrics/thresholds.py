"""The score thresholds that a challenger is served with, and at which the gate reads both models.

What is shipped is what was judged: the Trainer writes these thresholds into the challenger, and
the gate asks the same function for them.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from classlift.errors import EvaluationError
from classlift.metrics.curves import NEVER, operating_point, precision_at
from classlift.metrics.guarantee import guaranteed_point
from classlift.metrics.matching import Matches
from classlift.settings.gate import GUARANTEED, MATCHED, GateSettings

SLACK = 1e-5
"""The slack of a threshold in production, in scores: it often is the score of one of these very
detections, which another process may compute a little lower."""


@dataclass(frozen=True)
class Chosen:
    """The threshold of one class that the challenger is served with.

    Attributes:
        precision: on eval, that it was chosen for; None where none was chosen.
        hole: why none could be chosen, in words; then it is the one in production.

    """

    threshold: float
    precision: float | None = None
    hole: str | None = None


def choose(
    settings: GateSettings,
    targets: Set[str],
    deployed: Mapping[str, float],
    challenger: Matches,
    champion: Matches | None,
    kept: Set[str],
) -> dict[str, Chosen]:
    """The threshold of each class, chosen on eval.

    `settings.score_threshold` goes to all. Else each target's is the lowest with
    `settings.precision`, measured or guaranteed. With `matched` so is every other class's. With
    `keep` a class of `kept` keeps its own, and another gets the lowest that is as precise as the
    champion is in production.

    Args:
        settings: of the gate.
        targets: the classes to raise.
        deployed: the champion's score thresholds in production, by class.
        challenger: its matches on eval.
        champion: its matches on eval, read for the classes whose threshold is to be as precise as
            its own; None will do where all others are kept.
        kept: classes other than the targets that training left as they are.

    Returns:
        The thresholds by class.

    Raises:
        EvaluationError: the champion is needed and missing.

    """
    if settings.score_threshold is not None:
        return {label: Chosen(settings.score_threshold) for label in challenger.labels}
    chosen = {}
    for label in challenger.labels:
        if label not in targets and settings.thresholds != MATCHED and label in kept:
            chosen[label] = Chosen(deployed[label])
            continue
        if not (challenger.objects["label"] == label).any():
            hole = f"eval has no object of class {label}"
            chosen[label] = Chosen(deployed[label], hole=hole)
            continue
        if label not in targets and settings.thresholds != MATCHED:
            if champion is None:
                raise EvaluationError(
                    f"Class {label} may have changed: its threshold can't be chosen without the "
                    "champion's predictions on eval."
                )
            wanted = precision_at(champion, label, deployed[label] - SLACK)
            chosen[label] = _as_precise(challenger, label, wanted, deployed[label])
        else:
            chosen[label] = _lowest(challenger, label, settings, deployed[label])
    return chosen


def lowest_point(matches: Matches, label: str, settings: GateSettings) -> float:
    """The lowest threshold with the precision of the settings, as sure as they ask.

    Args:
        matches: on eval.
        label: the class.
        settings: of the gate.

    Returns:
        The score threshold, or `NEVER`.

    """
    if settings.operating_points == GUARANTEED:
        return guaranteed_point(matches, label, settings.precision)
    return operating_point(matches, label, settings.precision)


def champions_point(matches: Matches, label: str, settings: GateSettings) -> float:
    """The threshold at which the champion is read where a precision is asked for.

    Where none is guaranteed, the lowest measured one is: that an eval split is too small for the
    champion must not look like a lift.

    Args:
        matches: on eval.
        label: the class.
        settings: of the gate.

    Returns:
        The score threshold, or `NEVER`.

    """
    point = lowest_point(matches, label, settings)
    return operating_point(matches, label, settings.precision) if point == NEVER else point


def _lowest(matches: Matches, label: str, settings: GateSettings, deployed: float) -> Chosen:
    """The lowest threshold with the precision, or the one in production, with the reason."""
    point = lowest_point(matches, label, settings)
    if point != NEVER:
        return Chosen(point, precision=settings.precision)
    if settings.operating_points == GUARANTEED:
        return Chosen(
            deployed,
            hole=f"at no threshold do the images of eval guarantee the challenger a precision of "
            f"{settings.precision:.2f} for class {label}",
        )
    return _unreached(label, settings.precision, deployed)


def _unreached(label: str, wanted: float, deployed: float) -> Chosen:
    return Chosen(
        deployed,
        hole=f"at no threshold has the challenger a precision of {wanted:.2f} on eval for class "
        f"{label}",
    )


def _as_precise(matches: Matches, label: str, wanted: float, deployed: float) -> Chosen:
    """The lowest threshold as precise as the champion.

    Args:
        matches: the challenger's on eval.
        label: the class.
        wanted: the champion's precision in production, on eval.
        deployed: the threshold in production.

    Returns:
        The threshold, or the one in production, with the reason.

    """
    if not wanted > 0:  # NaN where it detects nothing
        return Chosen(
            deployed,
            hole=f"the champion finds nothing of class {label} on eval at its threshold in "
            f"production, {deployed:.3f}",
        )
    point = operating_point(matches, label, wanted)
    return _unreached(label, wanted, deployed) if point == NEVER else Chosen(point, wanted)


def same_bits(a: pa.Table, b: pa.Table, label: str) -> bool:
    """Whether two models' detections of a class have the same boxes and scores, bit for bit."""
    order = [(name, "ascending") for name in a.schema.names]
    tables = [t.filter(pc.equal(t["label"], label)).sort_by(order) for t in (a, b)]
    return bool(tables[0].equals(tables[1]))
