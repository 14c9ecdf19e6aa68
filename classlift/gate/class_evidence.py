"""What the gate knows of one class: both models on test, side by side."""

import math
from dataclasses import dataclass

from classlift.gate.verdict import Served
from classlift.metrics.change import Change, Measure, Pair
from classlift.settings.gate import GateSettings

PRECISION_CONFIDENCE = 0.90
"""Confidence of the lower bound at which a precision holds on test.

Of challengers whose true precision is 0.60 or 0.65 where 0.80 less 0.10 is asked, with 12 to 300
objects, it passes at most 3%; of those with a true lift of 0.08 on 300 objects it costs 2 in 100.
At 0.95 that would be 5 in 100; at 0.85 it passes 7% of the former.
"""

SERVED_RECALL = "recall as production sees it"
BOXES = "mean IoU"
RECALL, PRECISION, AP50 = "recall", "precision", "AP50"
"""Names of measures."""


@dataclass(frozen=True)
class Guarantee:
    """What it costs that operating points are guaranteed.

    Attributes:
        measured: recall of both models on test at their measured ones.
        champion_has_one: whether eval guarantees one for the champion; else it is read at its
            measured one.

    """

    measured: Pair
    champion_has_one: bool


@dataclass(frozen=True)
class ClassEvidence:
    """One class on test, each model at its own operating point.

    Bounds are one-sided; 95%, but for `precision_lower`, which is of `PRECISION_CONFIDENCE`.

    Attributes:
        objects: labelled objects.
        unchanged: boxes and scores are the same bits in both models on every image, and served at
            the same threshold.
        precision: the challenger's, as its bounds; NaN when it detects nothing.
        detections_needed: how many more would likely take `precision_lower` to what is asked; None
            when no number would, or none is needed.
        precision_change: None where the precision of the settings is asked for, and not the
            champion's; where a threshold was chosen for the latter, its `p_worse` is of "it fell by
            no more than the tolerance".
        ap50: change of the average precision, uninterpolated.
        boxes: mean IoU of what both find; None where they find nothing in common.
        gained: units (images, or scenes) in which the challenger finds more objects than the
            champion.
        lost: units in which it finds fewer.
        read_at: the thresholds of champion and challenger here; infinite where there is none with
            the precision.
        served: as production sees it.
        served_recall: the change of that recall, None where it is `recall`.
        hole: why the class can't be read, in words; None where it can.
        guarantee: of the target, where its operating points are to be guaranteed; else None.

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
    detections_needed: int | None
    ap50: Change
    boxes: Measure | None
    gained: int
    lost: int
    read_at: Pair
    served: Served
    served_recall: Change | None = None
    hole: str | None = None
    guarantee: Guarantee | None = None

    def measures(self, settings: GateSettings) -> dict[str, tuple[Measure, float | None]]:
        """What must not fall, each with the drop that must be ruled out.

        Args:
            settings: of the gate.

        Returns:
            By name, the measure and its drop; None: a sure fall alone counts. What can't be
            measured is left out.

        """
        fixed = settings.score_threshold is not None
        found: dict[str, tuple[Measure, float | None]] = {
            RECALL: (
                Measure(self.champion_recall, self.challenger_recall, self.recall),
                settings.max_drop,
            )
        }
        if self.served_recall is not None:
            found[SERVED_RECALL] = (
                Measure(*self.served.recall, self.served_recall),
                settings.max_drop,
            )
        if self.precision_change is not None:
            found[PRECISION] = (
                Measure(self.champion_precision, self.precision, self.precision_change),
                settings.max_drop if fixed else settings.precision_tolerance,
            )
        found[AP50] = (Measure(self.champion_ap50, self.challenger_ap50, self.ap50), None)
        if self.boxes is not None:
            found[BOXES] = (self.boxes, settings.max_drop)
        return {name: pair for name, pair in found.items() if not math.isnan(pair[0].change.change)}
