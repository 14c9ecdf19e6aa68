"""What the gate asks; apart from the rules, for the runners read it without their imports."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class GateSettings:
    """What the gate asks.

    precision: that each class's operating point must reach on eval.
    precision_tolerance: how far the precision on test may fall below it.
    min_lift: the least lift of the target class worth a push.
    max_drop: the drop of another class that must be ruled out.
    recall_floors: the least recall of a class after training, whatever it was before.
    """

    precision: float = 0.80
    precision_tolerance: float = 0.10
    min_lift: float = 0.05
    max_drop: float = 0.05
    recall_floors: Mapping[str, float] = field(default_factory=dict)
