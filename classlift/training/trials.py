"""Short trials of how deep a branch begins: each depth learns for a few steps, and eval judges."""

import logging
import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

from classlift.detectors.cost import operations
from classlift.detectors.detector import Batch, Detector
from classlift.detectors.export import Serving
from classlift.detectors.predict import predict
from classlift.metrics.matching import Matches, match
from classlift.progress import Countdown
from classlift.settings.freeze import (
    TARGET_BRANCH,
    TARGET_BRANCH_BLOCK,
    TARGET_BRANCH_IMAGE,
    TARGET_BRANCH_NECK,
)
from classlift.settings.recipe import Recipe
from classlift.training.depths import Depth, Trials, deepest_of_the_best, mean_ap50
from classlift.training.fit import Batches, freeze
from classlift.training.step import TrainingStep

logger = logging.getLogger(__name__)

MOST_IMAGES = 500
"""Images of eval by which depths are judged: with more, judging would cost more than learning."""

Load = Callable[[Recipe], Detector]
"""Makes the detector that learns, with the branches that a recipe gives it."""


@dataclass(frozen=True)
class Judge:
    """Reads what a detector is worth on eval.

    Attributes:
        files: the records of eval.
        targets: the classes to raise.
        units: the unit of an image that is not its own, by image_id.

    """

    files: Sequence[str]
    targets: Sequence[str]
    units: Mapping[str, str]

    def matches(self, detector: Detector, serving: Serving) -> Matches:
        """Matches what a detector finds on the first `MOST_IMAGES` with their boxes."""
        labels = detector.label_map
        found = predict(serving.encoded, self.files, labels, MOST_IMAGES)
        units = [self.units.get(image_id, image_id) for image_id in found.image_ids]
        return match(found.boxes, found.detections, found.image_ids, labels.names, units)


class _Trial:
    """One depth on its way."""

    def __init__(self, detector: Detector, cost: float, recipe: Recipe) -> None:
        self.policy, self.cost = recipe.freeze_policy, cost
        self._detector, self._serving = detector, Serving(detector)
        _, trained = freeze(detector, recipe)
        self._step = TrainingStep(detector, trained, recipe)
        self._steps, self._losses = 0, [0.0]

    def learn(self, batch: Batch) -> None:
        """Makes a step on a batch."""
        self._losses = [float(loss) for loss in self._step((), batch).values()]
        self._steps += 1

    def judged(self, judge: Judge) -> tuple[Depth, Matches | None]:
        """What it is worth now; nothing, without matches, where a loss is no number."""
        if not all(map(math.isfinite, self._losses)):
            return Depth(self.policy, self.cost, self._steps, 0.0), None
        matches = judge.matches(self._detector, self._serving)
        ap50 = mean_ap50(matches, judge.targets)
        return Depth(self.policy, self.cost, self._steps, ap50), matches


def find_depth(
    load: Load, champion: Detector, batches: Batches, recipe: Recipe, judge: Judge
) -> Trials | None:
    """Tries how deep a branch should begin.

    Args:
        load: makes a detector with the branches of a recipe.
        champion: as it is.
        batches: endless, from a step on.
        recipe: whose `trials` says how many steps are spent; its freeze policy is not read.
        judge: reads what a detector is worth on eval.

    Returns:
        What was found; None where a branch of this model can begin at one place alone, or where
        the losses are no numbers.

    """
    if not champion.can_branch_neck:
        return None
    return try_depths(depths_of(load, champion, recipe), batches, recipe, judge)


def try_depths(
    depths: Mapping[str, tuple[Detector, float]], batches: Batches, recipe: Recipe, judge: Judge
) -> Trials | None:
    """Lets depths learn for a few steps, and chooses one.

    All learn from the same batches, from the champion's weights, as they would in a training of so
    few steps. The deepest is taken that is no worse than the best beyond the error of measuring.
    The same seed gives the same answer on CPUs of the same kind.

    Args:
        depths: by freeze policy, a detector that learns by it, and the cost of its inference.
        batches: as `find_depth`.
        recipe: as `find_depth`.
        judge: as `find_depth`.

    Returns:
        What was found; None where the losses are no numbers.

    """
    steps = int(recipe.trials * recipe.steps) // len(depths)
    logger.info(f"trying {len(depths)} depths of the branch, in {steps} steps each")
    trials = [
        _Trial(detector, cost, recipe.override({"freeze_policy": policy, "steps": steps}))
        for policy, (detector, cost) in depths.items()
    ]
    countdown = Countdown(logger, steps, "steps of trials")
    for batch in islice(batches(0), steps):
        for trial in trials:
            trial.learn(batch)
        countdown.add(1)
    found, matches = [], {}
    for trial in trials:
        depth, own = trial.judged(judge)
        logger.info(f"after {depth.steps} steps: {depth}")
        found.append(depth)
        if own is not None:
            matches[trial.policy] = own
    if not matches:
        logger.info("the losses of all trials are no numbers: they tell nothing")
        return None
    costs = {policy: cost for policy, (_, cost) in depths.items()}
    return Trials(
        deepest_of_the_best(matches, costs, judge.targets),
        recipe.max_inference,
        len(next(iter(matches.values())).image_ids),
        tuple(sorted(found, key=lambda depth: depth.cost)),
    )


def depths_of(load: Load, champion: Detector, recipe: Recipe) -> dict[str, tuple[Detector, float]]:
    """The depths to try: a head, and the deepest that `max_inference` allows.

    That is the backbone from a block on, or a neck where it allows none; and where it allows the
    whole network, that beside the later half of the blocks.

    Args:
        load: as `find_depth`.
        champion: as `find_depth`; a branch of it can have a neck of its own.
        recipe: as `find_depth`.

    Returns:
        By freeze policy, a detector that is to learn by it, and its cost.

    """
    logger.info("counting what each depth of a branch costs")
    base = operations(champion)

    def of(policy: str) -> Detector:
        return load(recipe.override({"freeze_policy": policy}))

    @cache
    def cost(policy: str) -> float:
        return operations(of(policy)) / base

    def fits(policy: str) -> bool:
        return cost(policy) <= recipe.max_inference

    blocks = [f"{TARGET_BRANCH_BLOCK}{block}" for block in champion.branch_blocks]
    first = len(blocks) // 2 if fits(TARGET_BRANCH_IMAGE) else bisect_left(blocks, True, key=fits)
    deep = blocks[first] if first < len(blocks) else TARGET_BRANCH_NECK
    tried = [TARGET_BRANCH, *filter(fits, (deep, TARGET_BRANCH_IMAGE))]
    return {policy: (of(policy), cost(policy)) for policy in tried}
