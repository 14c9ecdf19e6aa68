"""What the verifiers of branches gave, and whether they were kept."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from classlift.errors import ClassLiftError
from classlift.records import JsonObject, Record

VERIFIERS = "verifiers"
"""The name of what was found in the provenance of what is trained (`Provenance.training`)."""


@dataclass(frozen=True)
class Verified:
    """What a verifier gave.

    Attributes:
        label: the class of its branch.
        without: AP50 of the class on eval without it, 0 to 1.
        with_it: AP50 with it.

    """

    label: str
    without: float
    with_it: float

    @property
    def is_kept(self) -> bool:
        """Whether more is found with it."""
        return self.with_it > self.without

    def sentence(self) -> str:
        """The same in words."""
        has = "a verifier" if self.is_kept else "no verifier"
        one = "it" if self.is_kept else "one"
        return (
            f"The branch of class {self.label} has {has}: on eval AP50 is {self.with_it:.3f} with "
            f"{one} and {self.without:.3f} without."
        )

    @classmethod
    def of(cls, training: JsonObject | None, fault: Callable[[str], ClassLiftError]) -> list[Self]:
        """Reads all from what a model says of its training.

        Args:
            training: of `Provenance`.
            fault: makes the error of a part that is damaged, from its name.

        Returns:
            What each gave; nothing where none was fitted.

        """
        record = Record(training or {}, fault)
        return [
            cls(found.text("label"), found.figure("without"), found.figure("with_it"))
            for found in (record.items(VERIFIERS) if record.has(VERIFIERS) else [])
        ]
