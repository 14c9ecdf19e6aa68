"""How deep a branch may begin: the depths that are trained, and what an inference of each costs."""

import logging
from bisect import bisect_left
from collections.abc import Callable
from functools import cache

from classlift.detectors.cost import Work, work
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
        grown: makes the detector that would be trained.
        champion: without a branch of what is to be raised; one of it can have a neck of its own.
        max_inference: operations of one inference, of this champion's.

    Returns:
        What each costs, in the unit of `max_inference`, by freeze policy, the cheaper first; the
        head alone where nothing deeper is allowed. A class that has a deep branch already goes on
        with it, by its head alone or by all of it, at the same cost.

    """
    logger.info("counting what each depth of a branch costs")
    base, blocks = work(champion), champion.branch_blocks

    @cache
    def counted(policy: str) -> Work:
        return work(grown(policy))

    def from_block(block: int) -> int:
        """Operations with branches from a block on."""
        # Those from the first such block on, without what its layers before this one add. One
        # detector tells of all: to build and trace one for each guess took twice the time.
        first = next(iter(blocks))
        deepest = counted(f"{TARGET_BRANCH_BLOCK}{first}")
        before = blocks[first] - blocks[block]
        spared = sum(deepest.scopes[layer] - base.scopes[layer] for layer in before)
        kept = counted(TARGET_BRANCH).total  # where a class has a deeper branch already
        return max(deepest.total - spared, kept)

    by_block = {f"{TARGET_BRANCH_BLOCK}{block}": block for block in blocks}

    @cache
    def cost(policy: str) -> float:
        is_block = policy in by_block
        total = from_block(by_block[policy]) if is_block else counted(policy).total
        found = total / base.total
        logger.info(f"{policy}: {found:.2f} times the champion's work")
        return found

    deeper = [TARGET_BRANCH_IMAGE, *by_block]  # the deepest, and dearest, first
    first = bisect_left(deeper, True, key=lambda policy: cost(policy) <= max_inference)
    deepest = [*deeper, TARGET_BRANCH_NECK][first]
    affordable = [deepest] if cost(deepest) <= max_inference else []
    return {policy: cost(policy) for policy in (TARGET_BRANCH, *affordable)}
