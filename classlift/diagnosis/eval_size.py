"""Whether eval is large enough for the operating points that are asked for, before any training."""

import math
from dataclasses import dataclass

from scipy import stats

from classlift.metrics.guarantee import CONFIDENCE, least_units
from classlift.metrics.matching import Matches
from classlift.settings.gate import GUARANTEED, GateSettings

MISS = GateSettings.precision_tolerance
"""How far a measured precision may miss on other images before eval counts as too small for it."""

MARGIN = 0.05
"""How much more precise than asked what eval shows must be for a guarantee, before eval counts as
too small: on the simulated detectors of `benchmarks/operating_points.py` that costs a fifth to a
half of the recall."""

_QUANTILE = float(stats.norm.ppf(CONFIDENCE))


@dataclass(frozen=True)
class EvalSize:
    """How much of the target eval shows, and what that is enough for.

    Attributes:
        target: the class to raise.
        units: images, or scenes, of eval that show it.
        precision: that is asked for.
        operating_points: one of `settings.gate.OPERATING_POINTS`.

    """

    target: str
    units: int
    precision: float
    operating_points: str

    @classmethod
    def of(
        cls, matches: Matches, target: str, precision: float, operating_points: str
    ) -> "EvalSize":
        """Counts the units of eval that show the target."""
        objects = matches.objects[matches.objects["label"] == target]
        return cls(target, len(set(matches.units_of(objects))), precision, operating_points)

    @property
    def stop(self) -> str | None:
        """Why no training could be pushed with this eval; None where one could."""
        least = least_units(self.precision)
        if self.operating_points != GUARANTEED or self.units >= least:
            return None
        return (
            f"{self._shown()}. That is too few to guarantee a precision of {self.precision:.2f}, "
            f"which takes {least} in which all that is found is right: label class {self.target} "
            f"in at least {least - self.units} more images of eval, or set operating_points to "
            "measured."
        )

    def advice(self) -> str:
        """What a small eval means for the operating points; empty where it is large enough."""
        if self.operating_points == GUARANTEED:
            return self._advice_for_guaranteed()
        enough = units_for_measured(self.precision)
        if self.units >= enough:
            return ""
        return (
            f"{self._shown()}: a threshold that is measured on fewer than about {enough} may miss "
            f"the precision of {self.precision:.2f} on other images by more than {MISS:.2f} in one "
            f"of ten cases; about {_objects(enough - self.units)} of it in images of their own "
            "would do."
        )

    def _advice_for_guaranteed(self) -> str:
        enough = units_for_guaranteed(self.precision)
        if self.stop is not None or self.units >= enough:
            return ""
        return (
            f"{self._shown()}: with one found in each, {least_right(self.units, self.precision)} "
            f"would have to be right to guarantee a precision of {self.precision:.2f}, which costs "
            f"much recall; about {_objects(enough - self.units)} of it in images of their own "
            f"would bring that to {_aim(self.precision):.3g}."
        )

    def _shown(self) -> str:
        units = "1 image or scene" if self.units == 1 else f"{self.units} images or scenes"
        return f"Eval shows class {self.target} in {units}"


def _objects(count: int) -> str:
    return "1 more labelled object" if count == 1 else f"{count} more labelled objects"


def least_right(units: int, precision: float) -> int:
    """How many of single detections must be right for a guarantee (Clopper and Pearson).

    Args:
        units: detections, so many that it can be guaranteed if all are right.
        precision: that is guaranteed, above 0, below 1.

    Returns:
        A number of detections, at most `units`.

    >>> least_right(11, 0.80), least_right(100, 0.80)
    (11, 86)

    """
    return next(
        right
        for right in range(math.ceil(units * precision), units + 1)
        if stats.beta.ppf(1 - CONFIDENCE, right, units - right + 1) >= precision
    )


def _aim(precision: float) -> float:
    """What eval should show where so much is asked."""
    return precision + min(MARGIN, (1 - precision) / 2)


def units_for_guaranteed(precision: float) -> int:
    """With how many single detections a share of `MARGIN` more than asked is enough.

    A precision so high that there is no room above it takes as many as one in the middle of it.

    Args:
        precision: that is guaranteed, above 0, below 1.

    Returns:
        A number of detections.

    >>> units_for_guaranteed(0.80)
    106

    """
    margin = _aim(precision) - precision
    spread = precision * (1 - precision)
    return math.ceil(spread * (_QUANTILE / margin) ** 2)


def units_for_measured(precision: float) -> int:
    """With how many single detections a measured precision misses by less than `MISS`, mostly.

    In `CONFIDENCE` of the cases, by the normal approximation.

    Args:
        precision: above 0, below 1.

    Returns:
        A number of detections.

    >>> units_for_measured(0.80)
    27

    """
    return math.ceil(precision * (1 - precision) * (_QUANTILE / MISS) ** 2)
