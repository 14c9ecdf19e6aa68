"""Which weights to keep: most recall of the targets at matched precision, the others on a floor.

All of it is read on eval; test is the gate's alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from classlift.records import Record


@dataclass(frozen=True)
class Evaluation:
    """What weights are worth on eval.

    Attributes:
        targets: the classes to raise.
        recalls: of each class at its own operating point; NaN for a class without objects.
        ap50: of each target.
        step: of the training that the weights are of.

    """

    targets: tuple[str, ...]
    recalls: dict[str, float]
    ap50: dict[str, float]
    step: int = 0

    @classmethod
    def read(cls, record: Record) -> "Evaluation":
        """Reads what `dataclasses.asdict` made of one. Raises the record's fault for others."""
        return cls(
            tuple(record.texts("targets")),
            record.figures("recalls"),
            record.figures("ap50"),
            record.count("step"),
        )

    def __str__(self) -> str:
        return "; ".join(
            f"recall of class {label} {self.recalls[label]:.3f} at matched precision, "
            f"AP50 {self.ap50[label]:.3f}"
            for label in self.targets
        )

    @property
    def recall(self) -> float:
        """The mean over the targets."""
        return fmean(self.recalls[label] for label in self.targets)

    @property
    def mean_ap50(self) -> float:
        """Over the targets."""
        return fmean(self.ap50.values())

    def worst_drop(self, before: "Evaluation") -> float:
        """The largest drop of another class's recall; 0 when none fell."""
        drops = [
            before.recalls[label] - recall
            for label, recall in self.recalls.items()
            if label not in self.targets
        ]
        return max([0.0, *(drop for drop in drops if drop == drop)])


def best_of(before: Evaluation | None, candidates: Sequence[Evaluation], max_drop: float) -> int:
    """The best candidate.

    It is the one with the most recall of the targets (then AP50), in the mean over them, among
    those in which no other class fell by more than `max_drop`; when there are none, the one with
    the smallest worst drop. The later of equals.

    Args:
        before: the champion's evaluation; without one, drops are not looked at.
        candidates: at least one.
        max_drop: of recall, 0 to 1.

    Returns:
        Its index in `candidates`.

    >>> before = Evaluation(("8",), {"8": 0.2, "3": 0.9}, {"8": 0.3})
    >>> greedy = Evaluation(("8",), {"8": 0.8, "3": 0.5}, {"8": 0.5})
    >>> modest = Evaluation(("8",), {"8": 0.6, "3": 0.9}, {"8": 0.4})
    >>> best_of(before, [greedy, modest], max_drop=0.05)
    1

    """

    def rank(number: int) -> tuple[bool, float, float, int]:
        candidate = candidates[number]
        drop = candidate.worst_drop(before) if before is not None else 0.0
        if drop > max_drop:
            return False, -drop, 0.0, number
        return True, candidate.recall, candidate.mean_ap50, number

    return max(range(len(candidates)), key=rank)
