"""How deep a branch begins: what each depth gave after its training, and which one is kept."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Self

from classlift.errors import ClassLiftError
from classlift.records import Json, JsonObject, Record
from classlift.settings.freeze import TARGET_BRANCH_IMAGE

DEPTHS = "depths"
"""The name of what was found in the provenance of what is trained (`Provenance.training`)."""


@dataclass(frozen=True)
class Depth:
    """One depth that was trained.

    Attributes:
        policy: the freeze policy that says where the branch begins.
        cost: operations of one inference, of the champion's.
        ap50: on eval, 0 to 1; of several targets the mean.

    """

    policy: str
    cost: float
    ap50: float

    def __str__(self) -> str:
        return f"{self.policy} {self.ap50:.3f} at {self.cost:.2f} times the work"


@dataclass(frozen=True)
class Depths:
    """The depths that were trained, and the one that is kept.

    Attributes:
        chosen: its freeze policy.
        max_inference: the largest cost that could be chosen.
        images: of eval, by which they were judged.
        trained: the cheapest first.

    """

    chosen: str
    max_inference: float
    images: int
    trained: tuple[Depth, ...]

    @classmethod
    def judged(
        cls,
        ap50: Mapping[str, Mapping[str, float]],
        costs: Mapping[str, float],
        max_inference: float,
        images: int,
    ) -> Self:
        """Chooses the depth that finds most on eval; of equals the cheapest.

        A deeper one does not have to be better by more than the error of measuring: on the demo's
        eval it was not with two of three seeds, and on test it was better with all three.

        Args:
            ap50: on eval, of each target, by freeze policy.
            costs: operations of one inference, by freeze policy.
            max_inference: the largest cost that could be chosen.
            images: of eval.

        Returns:
            What each is worth, and which is kept.

        """
        trained = [
            Depth(policy, costs[policy], _mean(ap50[policy]))
            for policy in sorted(ap50, key=costs.__getitem__)
        ]
        best = max(trained, key=lambda depth: depth.ap50)  # the first of equals
        return cls(best.policy, max_inference, images, tuple(trained))

    def sentences(self) -> list[str]:
        """What was found, in words."""
        found = [
            f"Freeze policy {self.chosen}: each depth was trained, the deeper from what the head "
            f"had learned, and the best is kept by AP50 of what is to be raised on {self.images} "
            f"images of eval, of equals the cheapest: {'; '.join(map(str, self.trained))}.",
        ]
        if TARGET_BRANCH_IMAGE not in [depth.policy for depth in self.trained]:
            found.append(
                f"{TARGET_BRANCH_IMAGE}, a whole network of its own, takes about twice the "
                f"champion's work for one image: to have it trained too, set max_inference to 2.1."
            )
        found.append(
            "Full fine-tuning, which changes the other classes too, was not tried: to let the gate "
            "judge it, set freeze_policy to none."
        )
        return found

    def to_json(self) -> dict[str, Json]:
        """The object that `read` reads."""
        return {**vars(self), "trained": [asdict(depth) for depth in self.trained]}

    @classmethod
    def of(cls, training: JsonObject | None, fault: Callable[[str], ClassLiftError]) -> Self | None:
        """Reads it from what a model says of its training.

        Args:
            training: of `Provenance`.
            fault: makes the error of a part that is damaged, from its name.

        Returns:
            What was found; None where one depth alone was trained.

        """
        record = Record(training or {}, fault)
        return cls.read(record.part(DEPTHS)) if record.has(DEPTHS) else None

    @classmethod
    def read(cls, record: Record) -> Self:
        """Reads what `to_json` made. Raises the record's error for anything else."""
        return cls(
            chosen=record.text("chosen"),
            max_inference=record.figure("max_inference"),
            images=record.count("images"),
            trained=tuple(
                Depth(depth.text("policy"), depth.figure("cost"), depth.figure("ap50"))
                for depth in record.items("trained")
            ),
        )


def _mean(by_class: Mapping[str, float]) -> float:
    """The mean over those of some classes that have objects; 0 where none has."""
    return fmean([ap50 for ap50 in by_class.values() if not math.isnan(ap50)] or [0.0])
