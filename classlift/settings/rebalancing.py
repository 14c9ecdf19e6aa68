"""The settings of rebalancing: how often the images of rare classes are shown to training."""

from dataclasses import dataclass

from classlift.settings.field import require_in_range, setting

SECTION = "Training data"
METHODS = ("repeat_factor", "effective_number", "inverse_frequency", "none")


@dataclass(frozen=True)
class Rebalancing:
    """What rebalancing is asked to do with the train split; eval and test stay as they are.

    Attributes:
        targets: The classes to raise; empty for none.
        repeat_threshold: Share of the images below which a class is repeated, `t` of the repeat
            factors, see `classlift.examples.rebalance.class_factors`. None takes the median over
            the classes, so that the rarer half of them is repeated.
        seed: Of the rounding to whole copies, and of what is pasted where.

    Raises ConfigError for a value out of its range.

    """

    method: str = setting(
        "repeat_factor",
        "Rebalancing",
        "How often images of rare classes repeat.",
        section=SECTION,
        choices=METHODS,
    )
    target_boost: float = setting(
        1.0,
        "Target boost",
        "A further factor on how often the target's images repeat.",
        section=SECTION,
        minimum=1,
        maximum=100,
    )
    max_growth: float = setting(
        3.0,
        "Largest growth",
        "How large the train split may become, as a multiple of what it is.",
        section=SECTION,
        minimum=1,
        maximum=100,
    )
    copy_paste: float = setting(
        0.0,
        "Copy-paste",
        "Share of the training examples that get pasted objects of the target class.",
        section=SECTION,
        minimum=0,
        maximum=1,
    )
    replay_share: float = setting(
        0.5,
        "Replay share",
        "Share of the training examples that are old data; 0 leaves them out.",
        section=SECTION,
        minimum=0,
        maximum=0.95,
    )
    targets: tuple[str, ...] = ()
    repeat_threshold: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        require_in_range(self, "rebalancing")
