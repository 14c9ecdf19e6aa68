"""What every reader of a format returns."""

import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classlift.errors import DataError

SHARD_IMAGES = 256
"""Images in a shard: enough that the cost per shard is small, few enough to fit into memory."""

MAX_SIDE = 2**31 - 1
"""The longest side of an image in pixels, as the tables hold it."""


@dataclass(frozen=True)
class LabelledImage:
    """One image of a source.

    uri: where its bytes are, for `classlift.data.media`. width, height: in pixels, as the
    labels claim; None where the format does not say. source: file and record that name it.
    """

    file_name: str
    uri: str
    width: int | None
    height: int | None
    source: str

    def __post_init__(self) -> None:
        _require_text(self.file_name, self.source, "file name")
        _require_text(self.uri, self.source, "path")
        for side in (self.width, self.height):
            if side is not None and not -MAX_SIDE <= side <= MAX_SIDE:
                raise DataError(
                    f"{self.source} ({self.file_name}): {side} pixels are no width or height of an "
                    "image."
                )


@dataclass(frozen=True)
class LabelledBox:
    """One box of a source, xmin, ymin, xmax, ymax in pixels; `source` is its file and record.

    Raises DataError for a label that is no text, as an image does for its names and its size.
    """

    file_name: str
    label: str
    box: tuple[float, float, float, float]
    source: str
    is_crowd: bool = False
    difficult: bool = False

    def __post_init__(self) -> None:
        _require_text(self.label, self.source, "class")


def _require_text(text: str, source: str, what: str) -> None:
    """Raises DataError for what can't be written as UTF-8: names of a disk in another encoding."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DataError(f"{source}: the {what} {text!r} is not UTF-8; rename it.") from None


def number_of(text: str) -> float:
    """The number that a text in a label file is. Raises ValueError for one that is none.

    Python alone would take `1_0` for ten, and digits of every script.

    >>> number_of("12.5")
    12.5
    """
    if "_" in text or not text.isascii():
        raise ValueError(f"{text!r} is no number")
    return float(text)


def whole_number_of(text: str) -> int:
    """As `number_of`, for whole numbers.

    >>> whole_number_of("12")
    12
    """
    if "_" in text or not text.isascii():
        raise ValueError(f"{text!r} is no whole number")
    return int(text)


@dataclass(frozen=True)
class Labels:
    """The images and boxes of one source, in the order of its files."""

    images: list[LabelledImage]
    boxes: list[LabelledBox]


@dataclass(frozen=True)
class Shard:
    """A part of a source, which any process that sees the files can read alone.

    items: what the format's reader needs, with the state of the label files (`paths.state`), so
    that the key changes when they do.
    """

    format: str
    path: Path
    items: tuple[Any, ...]

    @functools.cached_property
    def key(self) -> str:
        """Names what reading the shard gives, as long as its image files do not change."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:32]


def chunks(items: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """The items in pieces of `SHARD_IMAGES`."""
    for start in range(0, len(items), SHARD_IMAGES):
        yield tuple(items[start : start + SHARD_IMAGES])


def read_packed_shard(shard: Shard) -> Labels:
    """Reads a shard of a format that reads its labels at once: items are images, each with its
    boxes.
    """
    return Labels(
        [image for image, _ in shard.items], [box for _, boxes in shard.items for box in boxes]
    )
