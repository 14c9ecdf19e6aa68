"""What every reader of a format returns."""

import functools
import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from classlift.data.problems import ImageProblem
from classlift.errors import DataError
from classlift.text import shorten

SHARD_IMAGES = 256
"""Images in a shard: enough that the cost per shard is small, few enough to fit into memory."""

MAX_SIDE = 2**31 - 1
"""The longest side of an image in pixels, as the tables hold it."""


Corners = tuple[float, float, float, float]
"""xmin, ymin, xmax, ymax."""

NO_PLACE: Corners = (math.nan, math.nan, math.nan, math.nan)
"""The corners of an annotation that has no box that can be read: one finding, no refused file."""

READING = 8
"""Counted up when a reader gives something else for the same files: what an earlier one gave, and
was kept, is read anew."""

_NUMBERS: dict[float, bool] = {0: False, 1: True}
_TRUE = {"1", "true", "yes", "y", "t"}
_FALSE = {"", "0", "false", "no", "n", "f", "none", "null", "unspecified"}


@dataclass(frozen=True)
class Rounding:
    """By how much the sides of a box may leave their image, for that a format rounds them.

    Attributes:
        share: of the image's width or height.
        pixels: on top of that.

    """

    share: float = 2**-22
    pixels: float = 0.0


FLOAT32 = Rounding()
"""That of numbers in float32, whose last bit is 2^-24: a side may be the sum of two, and its
product with the size of the image is rounded once more."""


@dataclass(frozen=True)
class LabelledImage:
    """One image of a source.

    Attributes:
        uri: where its bytes are, for `classlift.data.media`.
        width: in pixels, as the labels claim; None where they do not say.
        height: as `width`.
        source: file and record that name it.
        is_sized: whether it is the labels that say the size, and not the file, which the reader
            looked at.
        split: as published with the labels, one of `schema.SPLITS`; None where they do not say.

    """

    file_name: str
    uri: str
    width: int | None
    height: int | None
    source: str
    is_sized: bool = True
    split: str | None = None

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
    """One box of a source, in pixels, or `NO_PLACE`; `source` is its file and record.

    Raises DataError for a label that is no text, as an image does for its names and its size.
    """

    file_name: str
    label: str
    box: Corners
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
    """The number that a text in a label file is.

    Python alone would take `1_0` for ten, and digits of every script.

    Args:
        text: as it stands in the file.

    Returns:
        The number; also an infinite one, or NaN, where the text says so.

    Raises:
        ValueError: it is none.

    >>> number_of("12.5")
    12.5

    """
    if "_" in text or not text.isascii():
        raise ValueError(f"{text!r} is no number")
    return float(text)


def whole_number_of(text: str) -> int:
    """The whole number that a text in a label file is; as `number_of`.

    Args:
        text: as it stands in the file.

    Returns:
        The number.

    Raises:
        ValueError: it is none, or has a decimal point.

    >>> whole_number_of("12")
    12

    """
    if "_" in text or not text.isascii():
        raise ValueError(f"{text!r} is no whole number")
    return int(text)


def flag_of(value: object, name: str, *where: object) -> bool:
    """What a flag says, such as `difficult`: true or false, however it is written.

    Args:
        value: as it was read; None where it is missing, which says no.
        name: of the flag. A tool that writes it as its own value means yes.
        where: file and record, in parts.

    Returns:
        Whether it is set.

    Raises:
        DataError: it is neither.

    >>> [flag_of(value, "difficult", "a.xml") for value in ("0", "False", 1.0, "true", None)]
    [False, False, True, True, False]

    """
    if value is None:
        return False
    if isinstance(value, bool | int | float):
        found = _NUMBERS.get(value)
    else:
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        word = text.strip().casefold()
        found = True if word in _TRUE or word == name else False if word in _FALSE else None
        if found is None:
            with suppress(ValueError):  # "1.0"
                found = _NUMBERS.get(number_of(word))
    if found is None:
        place = ": ".join(map(str, where))
        raise DataError(f"{place} has the {name} {shorten(repr(value), 80)}; write 0 or 1.")
    return found


def size_of(value: object, name: str, where: str) -> int | None:
    """What labels say of an image's width or height.

    Args:
        value: as it was read. Tools that don't know it write 0 or -1, or nothing.
        name: `width` or `height`.
        where: file and image.

    Returns:
        Pixels; None where the labels do not say.

    Raises:
        DataError: it is no whole number.

    >>> [size_of(value, "width", "a.xml") for value in (640, "640", 640.0, 0, "", None)]
    [640, 640, 640, None, None, None]

    """  # noqa: DOC501 - ValueError is caught
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError(f"{value!r} is no number")
        number = number_of(value) if isinstance(value, str) else value
        if number != int(number):
            raise ValueError(f"{number} is not whole")
    except (ValueError, OverflowError):
        shown = shorten(repr(value), 80)
        raise DataError(f"{where}: the {name} {shown} is no whole number of pixels.") from None
    return int(number) if number > 0 else None


@dataclass(frozen=True)
class Labels:
    """The images and boxes of one source, in the order of its files.

    Attributes:
        remarks: what its reader has to say of images, also of some that it left out; they have
            their `file_name` as id.

    """

    images: list[LabelledImage]
    boxes: list[LabelledBox]
    remarks: list[ImageProblem] = field(default_factory=list)


@dataclass(frozen=True)
class Shard:
    """A part of a source, which any process that sees the files can read alone.

    Attributes:
        items: what the format's reader needs, with the state of the label files (`paths.state`), so
            that the key changes when they do.

    """

    format: str
    path: Path
    items: tuple[Any, ...]

    @functools.cached_property
    def key(self) -> str:
        """Names what reading the shard gives, as long as its image files do not change."""
        return hashlib.sha256(repr((READING, self)).encode()).hexdigest()[:32]


def chunks(items: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """The items in pieces of `SHARD_IMAGES`."""
    for start in range(0, len(items), SHARD_IMAGES):
        yield tuple(items[start : start + SHARD_IMAGES])


def packed_shards(
    format_name: str,
    path: Path,
    images: Iterable[tuple[LabelledImage, Sequence[LabelledBox]]],
    remarks: Sequence[ImageProblem] = (),
) -> Iterator[Shard]:
    """Cuts labels that were read at once into shards, which hold them.

    Args:
        format_name: of `formats.FORMATS`.
        path: of the labels.
        images: each with its boxes.
        remarks: go with the shard of their image, or with the first one where it was left out.

    Yields:
        Shards of up to `SHARD_IMAGES`; of no image, one empty shard.

    """
    parts = [list(part) for part in chunks(list(images))] or [[]]
    place = {image.file_name: n for n, part in enumerate(parts) for image, _ in part}
    said: dict[int, list[ImageProblem]] = {}
    for remark in remarks:
        said.setdefault(place.get(remark.image_id, 0), []).append(remark)
    for number, part in enumerate(parts):
        found = [box for _, boxes in part for box in boxes]
        labels = Labels([image for image, _ in part], found, said.get(number, []))
        yield Shard(format_name, path, (labels,))


def read_packed_shard(shard: Shard) -> Labels:
    """Reads a shard of a format that reads its labels at once, which holds them."""
    (labels,) = shard.items
    return cast(Labels, labels)
