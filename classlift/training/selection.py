"""Which weights to keep: most recall of the target at matched precision, the others on a floor.

All of it is read on eval; test is the gate's alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from classlift.records import Record


@dataclass(frozen=True)
class Evaluation:
    """What weights are worth on eval.

    Attributes:
        recalls: of each class at its own operating point; NaN for a class without objects.
        step: of the training that the weights are of.

    """

    target: str
    recalls: dict[str, float]
    ap50: float
    step: int = 0

    @classmethod
    def read(cls, record: Record) -> "Evaluation":
        """Reads what `dataclasses.asdict` made of one. Raises the record's fault for others."""
        return cls(
            record.text("target"),
            record.figures("recalls"),
            record.figure("ap50"),
            record.count("step"),
        )

    def __str__(self) -> str:
        return (
            f"recall of class {self.target} {self.recalls[self.target]:.3f} at matched precision, "
            f"AP50 {self.ap50:.3f}"
        )

    def worst_drop(self, before: "Evaluation") -> float:
        """The largest drop of another class's recall; 0 when none fell."""
        drops = [
            before.recalls[label] - recall
            for label, recall in self.recalls.items()
            if label != self.target
        ]
        return max([0.0, *(drop for drop in drops if drop == drop)])


def best_of(before: Evaluation | None, candidates: Sequence[Evaluation], max_drop: float) -> int:
    """The best candidate.

    It is the one with the most recall of the target (then AP50) among those in which no other class
    fell by more than `max_drop`; when there are none, the one with the smallest worst drop. The
    later of equals.

    Args:
        before: the champion's evaluation; without one, drops are not looked at.
        candidates: at least one.
        max_drop: of recall, 0 to 1.

    Returns:
        Its index in `candidates`.

    >>> before = Evaluation("8", {"8": 0.2, "3": 0.9}, 0.3)
    >>> greedy = Evaluation("8", {"8": 0.8, "3": 0.5}, 0.5)
    >>> modest = Evaluation("8", {"8": 0.6, "3": 0.9}, 0.4)
    >>> best_of(before, [greedy, modest], max_drop=0.05)
    1

    """

    def rank(number: int) -> tuple[bool, float, float, int]:
        candidate = candidates[number]
        drop = candidate.worst_drop(before) if before is not None else 0.0
        if drop > max_drop:
            return False, -drop, 0.0, number
        return True, candidate.recalls[candidate.target], candidate.ap50, number

    return max(range(len(candidates)), key=rank)
