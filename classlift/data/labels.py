"""What every reader of a format returns."""

import functools
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from classlift.data.problems import ImageProblem, from_table, to_table
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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)  # a file may hold a million
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


def nameless(where: str, number: object, count: int = 0) -> tuple[str, str]:
    """What a box gets whose class is only a number, or a code, that nothing names.

    Its label is empty, which is a finding of the validator: taking the image without it would teach
    its object as background, and refusing the source for it would be a dead end.

    Args:
        where: file and record of the box.
        number: as the record has it.
        count: of the classes that are listed, from number 0 on; 0 where they have no such list.

    Returns:
        Its label, and a source that says the number.

    >>> nameless("labels/a.txt line 3", 4)
    ('', 'labels/a.txt line 3 of class 4')
    >>> nameless("labels/a.txt line 3", 4, count=4)
    ('', 'labels/a.txt line 3 of class 4, and the list numbers them from 0 to 3')

    """
    numbers = f", and the list numbers them from 0 to {count - 1}" if count else ""
    return "", f"{where} of class {shorten(str(number), 80)}{numbers}"


def has_class(boxes: pa.Table) -> npt.NDArray[np.bool_]:
    """Which boxes name a class.

    Args:
        boxes: a table with `label`.

    Returns:
        [n]; False for those of `nameless`.

    """
    return np.asarray(pc.not_equal(boxes["label"].cast(pa.string()), ""))


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


PACKED_BOXES = pa.schema(
    [
        ("image", pa.int32()),  # its row among those of the shard
        ("label", pa.string()),
        *[(side, pa.float64()) for side in ("xmin", "ymin", "xmax", "ymax")],
        ("is_crowd", pa.bool_()),
        ("difficult", pa.bool_()),
        ("source", pa.string()),
    ]
)
_PACKED_IMAGES = pa.schema(
    [
        ("file_name", pa.string()),
        ("uri", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("source", pa.string()),
        ("is_sized", pa.bool_()),
        ("split", pa.string()),
    ]
)
_SMALL = pa.ipc.IpcWriteOptions(compression="lz4")
if _PACKED_IMAGES.names != [image_field.name for image_field in fields(LabelledImage)]:
    raise TypeError("the columns of packed images are the fields of LabelledImage")


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
        return hashlib.sha256(repr((reader(), self)).encode()).hexdigest()[:32]


@functools.cache
def reader() -> str:
    """Names the code that reads: what other code gave, and was kept, is read anew.

    Returns:
        A hash of the modules of this package, 16 digits.

    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


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
    said = remarks_by_shard(remarks, place)
    for number, part in enumerate(parts):
        rows = {image.file_name: row for row, (image, _) in enumerate(part)}
        boxes = [box for _, of_image in part for box in of_image]
        columns = (
            [rows[box.file_name] for box in boxes],
            [box.label for box in boxes],
            *(zip(*(box.box for box in boxes), strict=True) if boxes else [()] * 4),
            [box.is_crowd for box in boxes],
            [box.difficult for box in boxes],
            [box.source for box in boxes],
        )
        arrays = [pa.array(c, kind) for c, kind in zip(columns, PACKED_BOXES.types, strict=True)]
        table = pa.Table.from_arrays(arrays, schema=PACKED_BOXES)
        yield packed(format_name, path, [i for i, _ in part], table, said.get(number, []))


def remarks_by_shard(
    remarks: Iterable[ImageProblem], place: Mapping[str, int]
) -> dict[int, list[ImageProblem]]:
    """The remarks by the number of the shard of their image; of none, by that of the first."""
    said: dict[int, list[ImageProblem]] = {}
    for remark in remarks:
        said.setdefault(place.get(remark.image_id, 0), []).append(remark)
    return said


def packed(
    format_name: str,
    path: Path,
    images: Sequence[LabelledImage],
    boxes: pa.Table,
    remarks: Sequence[ImageProblem],
) -> Shard:
    """A shard that holds its labels, as bytes: objects take ten times the memory.

    Args:
        format_name: of `formats.FORMATS`.
        path: of the labels.
        images: of the shard.
        boxes: `PACKED_BOXES`.
        remarks: on its images.

    Returns:
        The shard, whose key follows from what it holds.

    """
    names = [field.name for field in fields(LabelledImage)]
    rows = [tuple(getattr(image, name) for name in names) for image in images]
    columns = zip(*rows, strict=True) if rows else [()] * len(_PACKED_IMAGES)
    arrays = [pa.array(c, kind) for c, kind in zip(columns, _PACKED_IMAGES.types, strict=True)]
    tables = pa.Table.from_arrays(arrays, schema=_PACKED_IMAGES), boxes, to_table(remarks)
    return Shard(format_name, path, tuple(map(_bytes_of, tables)))


def read_packed_shard(shard: Shard) -> Labels:
    """Reads a shard of a format that reads its labels at once, which holds them."""
    images, boxes, remarks = (pa.ipc.open_stream(item).read_all() for item in shard.items)
    labelled = [LabelledImage(**row) for row in images.to_pylist()]
    found = [
        LabelledBox(labelled[row].file_name, label, _corners(sides), source, is_crowd, difficult)
        for row, label, *sides, is_crowd, difficult, source in zip(
            *(column.to_pylist() for column in boxes.columns), strict=True
        )
    ]
    return Labels(labelled, found, from_table(remarks))


def _corners(sides: Sequence[float]) -> Corners:
    xmin, ymin, xmax, ymax = sides
    # NO_PLACE is known by what it is, for NaN equals nothing.
    return NO_PLACE if all(map(math.isnan, sides)) else (xmin, ymin, xmax, ymax)


def _bytes_of(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_SMALL) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue())
