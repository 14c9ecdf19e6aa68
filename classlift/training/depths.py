"""How deep branches begin: what each depth gave after its training, and which ones are kept."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Self, cast

from classlift.errors import ClassLiftError
from classlift.records import Json, JsonObject, Record, without_nan
from classlift.settings.freeze import TARGET_BRANCH_IMAGE

DEPTHS = "depths"
"""The name of what was found in the provenance of what is trained (`Provenance.training`)."""


@dataclass(frozen=True)
class Depth:
    """One depth that was trained.

    Attributes:
        policy: the freeze policy that says where branches begin.
        cost: operations of one inference, of the champion's, with it for all that is to be raised.
        ap50: on eval, 0 to 1, of each class that is to be raised; NaN where eval does not show it.

    """

    policy: str
    cost: float
    ap50: Mapping[str, float]

    def __str__(self) -> str:
        found = [
            f"{ap50:.3f} (class {label})" if len(self.ap50) > 1 else f"{ap50:.3f}"
            for label, ap50 in self.ap50.items()
        ]
        return f"{self.policy} {', '.join(found)} at {self.cost:.2f} times the work"


@dataclass(frozen=True)
class Depths:
    """The depths that were trained, and those that are kept.

    Attributes:
        chosen: by class that is to be raised, in the order of the alphabet, its freeze policy.
        max_inference: the largest cost that could be chosen.
        images: of eval, by which they were judged.
        trained: the cheapest first.

    """

    chosen: Mapping[str, str]
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
        """Chooses for each class the depth that finds most on eval; of equals the cheapest.

        A deeper one does not have to be better by more than the error of measuring: on the demo's
        eval it was not with two of three seeds, and on test it was better with all three.

        Args:
            ap50: on eval, of each class that is to be raised, by freeze policy.
            costs: operations of one inference, by freeze policy.
            max_inference: the largest cost that could be chosen.
            images: of eval.

        Returns:
            What each is worth, and which are kept.

        """
        cheapest, *others = sorted(ap50, key=costs.__getitem__)
        chosen = dict.fromkeys(sorted(ap50[cheapest]), cheapest)
        for policy in others:
            for label, best in chosen.items():
                if ap50[policy][label] > ap50[best][label]:  # never where there is none
                    chosen[label] = policy
        trained = [
            Depth(policy, costs[policy], {label: ap50[policy][label] for label in chosen})
            for policy in (cheapest, *others)
        ]
        return cls(chosen, max_inference, images, tuple(trained))

    @property
    def deepest(self) -> str:
        """The dearest freeze policy that was chosen."""
        return [depth.policy for depth in self.trained if depth.policy in self.chosen.values()][-1]

    def sentences(self) -> list[str]:
        """What was found, in words."""
        policies = [
            f"{policy} for class {label}" if len(set(self.chosen.values())) > 1 else policy
            for label, policy in self.chosen.items()
        ]
        found = [
            f"Freeze policy {', '.join(dict.fromkeys(policies))}: each depth was trained, the "
            "head for half of the steps and the deeper from what it had learned, and the best is "
            "kept for each class that is to be raised, by its AP50 on "
            f"{self.images} images of eval, of equals the cheapest: "
            f"{'; '.join(map(str, self.trained))}.",
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
        document = {**vars(self), "trained": [asdict(depth) for depth in self.trained]}
        return cast(dict[str, Json], without_nan(document))

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
        chosen = record.part("chosen")
        return cls(
            chosen={label: chosen.text(label) for label in chosen.content},
            max_inference=record.figure("max_inference"),
            images=record.count("images"),
            trained=tuple(
                Depth(depth.text("policy"), depth.figure("cost"), depth.figures("ap50"))
                for depth in record.items("trained")
            ),
        )
