"""A figure of two models on the same images, and how far it changed; without numpy or scipy."""

import math
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Change:
    """The change of a share (recall, say) between two models, with its one-sided bounds.

    Each figure is NaN where there is nothing to compare.

    Attributes:
        change: after less before.
        lower_bound: one-sided.
        upper_bound: one-sided.
        standard_error: cluster-robust; at least 1/n objects, for no discordant pair is no proof.
        p_worse: one-sided p value of "it is not lower than before" (cluster t test).
        minimum_detectable_drop: the drop that this test set would show with 80% power.

    """

    change: float
    lower_bound: float
    upper_bound: float
    standard_error: float
    p_worse: float
    minimum_detectable_drop: float


NOTHING = Change(*[math.nan] * 6)
"""The change where there is nothing to compare."""


class Pair(NamedTuple):
    """A figure of the champion, and of the challenger."""

    before: float
    after: float


class Measure(NamedTuple):
    """A figure before and after, and its change."""

    before: float
    after: float
    change: Change
