"""Label maps: class names and their ids, as the TF Object Detection API writes them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from components.errors import DataError

_ITEM = re.compile(r"item\s*\{(.*?)\}", re.DOTALL)
_ID = re.compile(r"\bid\s*:\s*(-?\d+)")
_NAME = re.compile(r"\bname\s*:\s*(['\"])(.*?)\1")


@dataclass(frozen=True)
class LabelMap:
    """Class names in the order of their ids; ids are 1, 2, ... without gaps.

    >>> label_map = LabelMap(("car", "scooter"))
    >>> label_map.id_of("scooter"), label_map.name_of(1), len(label_map)
    (2, 'car', 2)
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.names:
            raise DataError("The label map names no class: write at least one item.")
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if repeated:
            raise DataError(
                f"The label map names {repeated[0]!r} more than once: give each class one id."
            )

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def id_of(self, name: str) -> int:
        """The id of a class, from 1. Raises DataError for an unknown name."""
        try:
            return self.names.index(name) + 1
        except ValueError:
            raise DataError(
                f"Class {name!r} is not in the label map, which has: {', '.join(self.names)}."
            ) from None

    def name_of(self, class_id: int) -> str:
        """The name of a class id, which starts at 1."""
        return self.names[class_id - 1]

    @classmethod
    def from_ids(cls, pairs: Iterable[tuple[int, str]], where: str) -> "LabelMap":
        """From (id, name) pairs in any order. Raises DataError on a gap or a repeated id."""
        ordered = sorted(pairs)
        ids = [class_id for class_id, _ in ordered]
        if ids != list(range(1, len(ids) + 1)):
            raise DataError(
                f"{where}: class ids are {ids}; number the classes 1 to {len(ids)}, each once."
            )
        return cls(tuple(name for _, name in ordered))

    @classmethod
    def read(cls, path: Path) -> "LabelMap":
        """Reads a `label_map.pbtxt`."""
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: the label map can't be read ({error}).") from error
        pairs = []
        for number, item in enumerate(_ITEM.findall(text), start=1):
            class_id, name = _ID.search(item), _NAME.search(item)
            if not class_id or not name:
                raise DataError(f"{path}: item {number} needs both `id` and `name`.")
            pairs.append((int(class_id.group(1)), name.group(2)))
        if not pairs:
            raise DataError(f"{path}: the label map has no item.")
        return cls.from_ids(pairs, str(path))

    def write(self, path: Path) -> None:
        """Writes a `label_map.pbtxt`."""
        items = [f"item {{\n  id: {i}\n  name: {name!r}\n}}\n" for i, name in enumerate(self, 1)]
        path.write_text("\n".join(items), "utf-8")
