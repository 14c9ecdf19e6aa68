"""What short trials found of how deep a branch begins, and the depth that is chosen by it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Self

from classlift.errors import ClassLiftError
from classlift.metrics.matching import Matches
from classlift.metrics.paired import ap50_change
from classlift.records import Json, JsonObject, Record
from classlift.settings.freeze import TARGET_BRANCH_IMAGE
from classlift.settings.recipe import Recipe

TRIALS = "trials"
"""The name of what was found in the provenance of what is trained (`Provenance.training`)."""

FEWEST_STEPS = 50
"""Steps of a trial below which it misleads: of photographs of cards, a branch from block 9 on was
behind a head after 34 and 68 steps at a quarter of the rate, and ahead after 600 at the whole."""


@dataclass(frozen=True)
class Depth:
    """One depth that was tried.

    Attributes:
        policy: the freeze policy that says where the branch begins.
        cost: operations of one inference, of the champion's.
        steps: that it was trained.
        ap50: on eval after these, 0 to 1; of several targets the mean.

    """

    policy: str
    cost: float
    steps: int
    ap50: float

    def __str__(self) -> str:
        return f"{self.policy} {self.ap50:.3f} at {self.cost:.2f} times the work"


@dataclass(frozen=True)
class Trials:
    """The depths that were tried, and the one that training takes.

    Attributes:
        chosen: its freeze policy.
        max_inference: the largest cost that could be chosen.
        images: of eval, by which they were judged.
        tried: the cheapest first.

    """

    chosen: str
    max_inference: float
    images: int
    tried: tuple[Depth, ...]

    def sentences(self) -> list[str]:
        """What was found, in words."""
        of_policy = {depth.policy: depth for depth in self.tried}
        chosen = of_policy[self.chosen]
        found = [
            f"Freeze policy {self.chosen}, by trials of {self.steps_in_words()} on the train "
            f"split, judged by AP50 of what is to be raised on {self.images} images of eval: "
            f"{'; '.join(map(str, self.tried))}.",
        ]
        best = max(self.tried, key=lambda depth: depth.ap50)
        if best.ap50 > chosen.ap50:
            found.append(
                f"{best.policy} is no better beyond what so many images can tell; of such the "
                "deepest is taken, for more steps give it more."
            )
        if TARGET_BRANCH_IMAGE not in of_policy:
            found.append(
                f"{TARGET_BRANCH_IMAGE}, a whole network of its own, takes about twice the "
                f"champion's work for one image: to have it tried too, set max_inference to 2.1."
            )
        found.append(
            "Full fine-tuning, which changes the other classes too, was not tried: to let the gate "
            "judge it, set freeze_policy to none."
        )
        return found

    def steps_in_words(self) -> str:
        """How long the trials were."""
        counts = sorted({depth.steps for depth in self.tried})
        return f"{' and '.join(map(str, counts))} steps"

    def to_json(self) -> dict[str, Json]:
        """The object that `read` reads."""
        return {**vars(self), "tried": [asdict(depth) for depth in self.tried]}

    @classmethod
    def of(cls, training: JsonObject | None, fault: Callable[[str], ClassLiftError]) -> Self | None:
        """Reads it from what a model says of its training.

        Args:
            training: of `Provenance`.
            fault: makes the error of a part that is damaged, from its name.

        Returns:
            What the trials found; None where there were none.

        """
        record = Record(training or {}, fault)
        return cls.read(record.part(TRIALS)) if record.has(TRIALS) else None

    @classmethod
    def read(cls, record: Record) -> Self:
        """Reads what `to_json` made. Raises the record's error for anything else."""
        return cls(
            chosen=record.text("chosen"),
            max_inference=record.figure("max_inference"),
            images=record.count("images"),
            tried=tuple(
                Depth(
                    depth.text("policy"),
                    depth.figure("cost"),
                    depth.count("steps"),
                    depth.figure("ap50"),
                )
                for depth in record.items("tried")
            ),
        )


def can_try(recipe: Recipe) -> bool:
    """Whether a recipe has steps enough for trials of two depths.

    Args:
        recipe: whose `trials` says how many steps they may take.

    Returns:
        Whether none of them would have to be shorter than `FEWEST_STEPS`.

    >>> can_try(Recipe(steps=900)), can_try(Recipe(steps=30)), can_try(Recipe(trials=0))
    (True, False, False)

    """
    return int(recipe.trials * recipe.steps) // 2 >= FEWEST_STEPS


def deepest_of_the_best(
    matches: Mapping[str, Matches], costs: Mapping[str, float], targets: Sequence[str]
) -> str:
    """The deepest branch that is no worse than the best one by more than the error of measuring.

    Not the cheapest, for short trials understate what a deep one learns. On photographs of cards
    one from block 9 on was behind a head or level with it in trials. In whole trainings it gained
    nearly twice as much AP50 at one rate, and as much at another; on the demo as much. The error is
    that of the difference between two models on the same images (`ap50_change`).

    Args:
        matches: on the same images of eval, by freeze policy.
        costs: operations of one inference, by freeze policy; the deeper the more.
        targets: the classes to raise.

    Returns:
        Its freeze policy.

    """
    scores = {policy: mean_ap50(found, targets) for policy, found in matches.items()}
    best = max(scores, key=lambda policy: (scores[policy], costs[policy]))
    for policy in sorted(matches, key=costs.__getitem__, reverse=True):
        changes = [ap50_change(matches[policy], matches[best], target) for target in targets]
        known = [change for change in changes if not math.isnan(change.change)]
        gain = sum(change.change for change in known)
        error = math.hypot(*(change.standard_error for change in known))
        if policy == best or gain <= error + 1e-9:  # one object more is an error at least
            return policy
    return best


def mean_ap50(matches: Matches, targets: Sequence[str]) -> float:
    """The mean over those of some classes that have objects; 0 where none has."""
    found = [matches.ap50[target] for target in targets]
    return fmean([ap50 for ap50 in found if not math.isnan(ap50)] or [0.0])
