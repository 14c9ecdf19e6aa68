"""How deep a branch may begin: the depths that are trained, and what an inference of each costs."""

import logging
from bisect import bisect_left
from collections.abc import Callable
from functools import cache

from classlift.detectors.cost import operations
from classlift.detectors.detector import Detector
from classlift.settings.freeze import (
    TARGET_BRANCH,
    TARGET_BRANCH_BLOCK,
    TARGET_BRANCH_IMAGE,
    TARGET_BRANCH_NECK,
)

logger = logging.getLogger(__name__)

Grown = Callable[[str], Detector]
"""Makes a detector with the branches that a freeze policy gives it."""


def affordable_depths(grown: Grown, champion: Detector, max_inference: float) -> dict[str, float]:
    """A head, and the deepest branch that `max_inference` allows.

    That is a whole network, or the backbone from a block on, or a neck where it allows neither.

    Args:
        grown: makes the detector that would be trained; it may be `champion`, changed.
        champion: without a branch of what is to be raised; one of it can have a neck of its own.
        max_inference: operations of one inference, of this champion's.

    Returns:
        What each costs, in the unit of `max_inference`, by freeze policy, the cheaper first; the
        head alone where nothing deeper is allowed. A class that has a deep branch already goes on
        with it, by its head alone or by all of it, at the same cost.

    """
    logger.info("counting what each depth of a branch costs")
    base = operations(champion)

    @cache
    def cost(policy: str) -> float:
        found = operations(grown(policy)) / base
        logger.info(f"{policy}: {found:.2f} times the champion's work")
        return found

    blocks = [f"{TARGET_BRANCH_BLOCK}{block}" for block in champion.branch_blocks]
    deeper = [TARGET_BRANCH_IMAGE, *blocks]  # the deepest, and dearest, first
    first = bisect_left(deeper, True, key=lambda policy: cost(policy) <= max_inference)
    deepest = [*deeper, TARGET_BRANCH_NECK][first]
    affordable = [deepest] if cost(deepest) <= max_inference else []
    return {policy: cost(policy) for policy in (TARGET_BRANCH, *affordable)}
