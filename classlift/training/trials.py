"""Short trials of how deep a branch begins: each depth learns for a few steps, and eval judges."""

import logging
import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from classlift.training.depths import (
    Depth,
    Trials,
    better,
    cheapest_of_the_best,
    mean_ap50,
    rung_steps,
)
from classlift.training.fit import Batches, freeze
from classlift.training.step import TrainingStep

logger = logging.getLogger(__name__)

MOST_IMAGES = 500
"""Images of eval by which depths are judged: with more, judging would cost more than learning."""

RATE = 0.25
"""The share of the recipe's learning rate that trials begin with. At the whole rate, the first
steps throw the scores about: after 64 steps of the demo at 0.008 all depths were worse than the
champion (AP50 0.66), the deepest most, and after 51 at 0.002 all were better: 0.67 for a head, 0.70
for a neck, 0.72 for the image."""

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

    All learn from the same batches, from the champion's weights; the better half of those that
    `max_inference` allows goes on from where it stands. Of these the cheapest is taken that is no
    worse than the best beyond the error of measuring. The same seed gives the same answer on CPUs
    of the same kind.

    Args:
        depths: by freeze policy, a detector that learns by it, and the cost of its inference.
        batches: as `find_depth`.
        recipe: as `find_depth`.
        judge: as `find_depth`.

    Returns:
        What was found; None where the losses are no numbers.

    """
    budget = int(recipe.trials * recipe.steps)
    costs = {policy: cost for policy, (_, cost) in depths.items()}
    limit = max(recipe.max_inference, min(costs.values()))
    affordable = sum(cost <= limit for cost in costs.values())
    steps = rung_steps(budget, affordable, len(costs) - affordable)
    logger.info(
        f"trying {len(costs)} depths of the branch, in {budget} steps at most: the better half of "
        f"those that take at most {limit:g} times the champion's work goes on after {steps} each"
    )
    trials = {
        policy: _Trial(detector, cost, _short(recipe, policy, 2 * steps))
        for policy, (detector, cost) in depths.items()
    }
    stream = iter(batches(0))
    found, _ = _rung(list(trials.values()), stream, steps, judge)
    ahead = better(list(found.values()), limit)
    again, matches = _rung([trials[depth.policy] for depth in ahead], stream, steps, judge)
    found |= again
    known = {policy: own for policy, own in matches.items() if own and costs[policy] <= limit}
    if not known:
        logger.info("the losses of all trials are no numbers: they tell nothing")
        return None
    return Trials(
        cheapest_of_the_best(known, costs, judge.targets),
        limit,
        len(next(iter(known.values())).image_ids),
        tuple(sorted(found.values(), key=lambda depth: depth.cost)),
    )


def _short(recipe: Recipe, policy: str, steps: int) -> Recipe:
    """The recipe of a trial."""
    rate = RATE * recipe.learning_rate
    return recipe.override({"freeze_policy": policy, "steps": steps, "learning_rate": rate})


def depths_of(load: Load, champion: Detector, recipe: Recipe) -> dict[str, tuple[Detector, float]]:
    """The depths to try: a head, a neck, the blocks that `max_inference` allows, and the image.

    Where it allows all, the blocks are the later half.

    Args:
        load: as `find_depth`.
        champion: as `find_depth`; a branch of it can have a neck of its own.
        recipe: as `find_depth`.

    Returns:
        By freeze policy, a detector that is to learn by it, and its cost.

    """
    logger.info("counting what each depth of a branch costs")
    base = operations(champion)

    def weighed(policy: str) -> tuple[Detector, float]:
        detector = load(recipe.override({"freeze_policy": policy}))
        return detector, operations(detector) / base

    policies = (TARGET_BRANCH, TARGET_BRANCH_NECK, TARGET_BRANCH_IMAGE)
    found = {policy: weighed(policy) for policy in policies}
    blocks = [f"{TARGET_BRANCH_BLOCK}{block}" for block in champion.branch_blocks]
    first = len(blocks) // 2
    if found[TARGET_BRANCH_IMAGE][1] > recipe.max_inference:
        first = bisect_left(blocks, True, key=lambda p: weighed(p)[1] <= recipe.max_inference)
    if first < len(blocks):
        found[blocks[first]] = weighed(blocks[first])
    return found


def _rung(
    trials: Sequence[_Trial], batches: Iterator[Batch], steps: int, judge: Judge
) -> tuple[dict[str, Depth], dict[str, Matches | None]]:
    """Lets depths learn from the same batches, and judges them.

    Returns:
        What each is worth, and its matches on eval, by freeze policy.

    """
    countdown = Countdown(logger, steps, "steps of trials")
    for batch in islice(batches, steps):
        for trial in trials:
            trial.learn(batch)
        countdown.add(1)
    found, matches = {}, {}
    for trial in trials:
        depth, matches[trial.policy] = trial.judged(judge)
        logger.info(f"after {depth.steps} steps: {depth}")
        found[trial.policy] = depth
    return found, matches
