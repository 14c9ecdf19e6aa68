"""Typed access to the JSON objects that we wrote, field by field; without any further import."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from classlift.errors import ClassLiftError

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""Whatever JSON can say."""

JsonObject: TypeAlias = Mapping[str, Json]


@dataclass(frozen=True)
class Record:
    """One JSON object of a file, whose fields are read by type.

    Each method raises what `fault` makes of the field's name where the field is missing or of
    another type.

    Attributes:
        content: the object.
        fault: makes the error of a field, from its name.
        place: what stands before the names of its fields, such as `classes.`.

    """

    content: JsonObject
    fault: Callable[[str], ClassLiftError]
    place: str = ""

    @classmethod
    def of(cls, value: object, fault: Callable[[str], ClassLiftError], place: str) -> "Record":
        """The record that a value is; `place` is its name. Raises `fault` for no object."""
        if not isinstance(value, Mapping):
            raise fault(place)
        return cls(value, fault, f"{place}.")

    def value(self, name: str) -> Json:
        """A field of any type. Raises `fault` where it is missing."""
        if name not in self.content:
            raise self.error(name)
        return self.content[name]

    def text(self, name: str) -> str:
        """A string."""
        return cast(str, self._typed(name, str))

    def flag(self, name: str) -> bool:
        """True or false."""
        return cast(bool, self._typed(name, bool))

    def count(self, name: str) -> int:
        """A whole number."""
        return cast(int, self._typed(name, int))

    def figure(self, name: str) -> float:
        """A number; NaN for null, as which NaN is written."""
        value = self._typed(name, int, float, type(None))
        return math.nan if value is None else cast(float, value)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        found = cast("list[Json]", self._typed(name, list))
        if not all(isinstance(item, str) for item in found):
            raise self.error(name)
        return tuple(cast("list[str]", found))

    def names(self, name: str) -> tuple[str, ...]:
        """A string, or a list of strings."""
        single = isinstance(self.value(name), str)
        return (self.text(name),) if single else self.texts(name)

    def items(self, name: str) -> "list[Record]":
        """A list of objects."""
        found = cast("list[Json]", self._typed(name, list))
        return [
            Record.of(item, self.fault, f"{self.place}{name}[{number}]")
            for number, item in enumerate(found)
        ]

    def part(self, name: str) -> "Record":
        """An object."""
        return Record.of(self.value(name), self.fault, f"{self.place}{name}")

    def parts(self, name: str) -> "dict[str, Record]":
        """An object of objects, by their names."""
        whole = self.part(name)
        return {key: whole.part(key) for key in whole.content}

    def counts(self, name: str) -> dict[str, int]:
        """An object of whole numbers, by their names."""
        part = self.part(name)
        return {key: part.count(key) for key in part.content}

    def figures(self, name: str) -> dict[str, float]:
        """An object of numbers, by their names; NaN for null."""
        part = self.part(name)
        return {key: part.figure(key) for key in part.content}

    def has(self, name: str) -> bool:
        """Whether a field is there and not null."""
        return self.content.get(name) is not None

    def error(self, name: str) -> ClassLiftError:
        """The error that names a field."""
        return self.fault(f"{self.place}{name}")

    def _typed(self, name: str, *kinds: type) -> Json:
        value = self.value(name)
        # True is an int to Python.
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise self.error(name)
        return value


def without_nan(value: object) -> Json:
    """A document without NaN and infinite numbers, which are no JSON: they become null."""
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else cast(Json, value)
