"""The settings of the gate: what a challenger must show to be pushed."""

from collections.abc import Mapping
from dataclasses import dataclass

from classlift.errors import ConfigError
from classlift.settings.field import require_in_range, setting

SECTION = "Gate"
KEEP, MATCHED = "keep", "matched"
THRESHOLDS = (KEEP, MATCHED)
"""What a push does to the score thresholds of the other classes."""

MEASURED, GUARANTEED = "measured", "guaranteed"
OPERATING_POINTS = (MEASURED, GUARANTEED)
"""How sure it is that a class has the precision that is asked for at its score threshold."""


@dataclass(frozen=True)
class GateSettings:
    """What the gate asks of a challenger.

    Where training changed another class, `thresholds: keep` gives it the lowest score threshold at
    which its precision on eval is what the champion has there in production.

    With a `score_threshold`, both models are read there for every class instead of at their own
    operating points. Then the other classes' precision is compared as their recall is, and the
    target's alone must be `precision`, with the tolerance.

    Raises ConfigError for a value out of its range, and for a fixed score threshold where
    guaranteed operating points are asked for.
    """

    precision: float = setting(
        0.80,
        "Precision",
        "The precision that each class must reach on eval at its operating point.",
        section=SECTION,
        minimum=0.05,
        maximum=0.999,
    )
    precision_tolerance: float = setting(
        0.10,
        "Precision tolerance",
        "How far the precision on test may fall below the one asked for.",
        section=SECTION,
        minimum=0,
        maximum=1,
    )
    operating_points: str = setting(
        MEASURED,
        "Operating points",
        "measured: the lowest score threshold with the precision on eval, which other images miss "
        "half of the time; guaranteed: the lowest at which the precision holds with 90% "
        "confidence, for less recall.",
        section=SECTION,
        choices=OPERATING_POINTS,
    )
    thresholds: str = setting(
        KEEP,
        "Thresholds of the other classes",
        "keep: those in production, or, where training changed a class, the lowest that is as "
        "precise; matched: the lowest with the precision asked for.",
        section=SECTION,
        choices=THRESHOLDS,
    )
    score_threshold: float | None = setting(
        None,
        "Score threshold",
        "A threshold that is fixed in production, instead of operating points at the precision; "
        "the precision of other classes is then judged as their recall is.",
        section=SECTION,
        unset="each class has its own",
        above=0,
        maximum=1,
    )
    min_lift: float = setting(
        0.05,
        "Least lift",
        "The least rise of the target's recall that is worth a push.",
        section=SECTION,
        minimum=0,
        maximum=1,
    )
    max_drop: float = setting(
        0.05,
        "Largest drop",
        "The drop of another class that must be ruled out: of its recall, of its precision where "
        "one threshold is fixed, and of how its boxes fit.",
        section=SECTION,
        minimum=0,
        maximum=1,
    )
    min_recall: float = setting(
        0.50,
        "Least recall of a new class",
        "The recall, by its lower bound, of a target that the champion did not know.",
        section=SECTION,
        minimum=0,
        maximum=1,
    )
    recall_floors: Mapping[str, float] = setting(
        {},
        "Recall floors",
        'The least recall of classes after training, whatever it was before, as {"8": 0.6}.',
        section=SECTION,
        minimum=0,
        maximum=1,
    )

    def __post_init__(self) -> None:
        require_in_range(self, "gate")
        if self.score_threshold is not None and self.operating_points == GUARANTEED:
            raise ConfigError(
                "gate.operating_points is guaranteed, which chooses score thresholds, and "
                "gate.score_threshold fixes them: leave one out."
            )
