"""The settings of rebalancing: how often the images of rare classes are shown to training."""

from dataclasses import dataclass

METHODS = ("repeat_factor", "effective_number", "inverse_frequency", "none")


@dataclass(frozen=True)
class Rebalancing:
    """What rebalancing is asked to do.

    method: of `METHODS`, see `classlift.examples.rebalance.class_factors`.
    repeat_threshold: `t` of the repeat factors; None takes the median class frequency, so that the
        rarer half of the classes is repeated.
    target, target_boost: the class to raise, and a further factor on it.
    replay_share: share of the draws that old data get; 0 leaves them out.
    max_growth: cap on the copies of the images that are kept, as a multiple of their number.
    copy_paste: share of the train examples into which objects of the target class are pasted.
    """

    method: str = "repeat_factor"
    repeat_threshold: float | None = None
    target: str | None = None
    target_boost: float = 1.0
    replay_share: float = 0.5
    max_growth: float = 3.0
    copy_paste: float = 0.0
    seed: int = 0
