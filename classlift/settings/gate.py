"""What the gate asks; apart from the rules, for the runners read it without their imports."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from classlift.errors import ConfigError

KEEP, MATCHED = "keep", "matched"
THRESHOLDS = (KEEP, MATCHED)
"""What a push does to the score thresholds of the other classes."""


@dataclass(frozen=True)
class GateSettings:
    """What the gate asks.

    precision: that each class's operating point must reach on eval.
    precision_tolerance: how far the precision on test may fall below it.
    thresholds: of the classes other than the target. `keep`: each keeps the score threshold that it
        is served with; where training changed its detections, it gets the lowest one at which its
        precision on eval is what the champion has there in production. `matched`: all classes get
        the lowest one with `precision` on eval.
    score_threshold: a fixed one in production, at which both models are read for every class
        instead of at their own operating points. Then the other classes' precision is compared as
        their recall is, and the target's alone must be `precision`, with the tolerance.
    min_lift: the least lift of the target class worth a push.
    max_drop: the drop of another class that must be ruled out, of recall, of a precision that is
        compared at one threshold, and of the mean IoU of its boxes.
    recall_floors: the least recall of a class after training, whatever it was before.
    """

    precision: float = 0.80
    precision_tolerance: float = 0.10
    thresholds: str = KEEP
    score_threshold: float | None = None
    min_lift: float = 0.05
    max_drop: float = 0.05
    recall_floors: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.thresholds not in THRESHOLDS:
            raise ConfigError(
                f"gate.thresholds is {repr(self.thresholds)[:80]}; choose one of: "
                f"{', '.join(THRESHOLDS)}."
            )
