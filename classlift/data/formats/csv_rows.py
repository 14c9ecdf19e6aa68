"""CSV with a row a box: the OD API's tutorials, Roboflow, VoTT, Open Images."""

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from classlift.data.formats.collected import Collected, CollectedImage, find_files, side
from classlift.data.images import IMAGE_SUFFIXES
from classlift.data.labels import Corners, Shard, flag_of, size_of
from classlift.data.places import Place
from classlift.errors import DataError
from classlift.reading import GIGA, open_regular, open_text, read_text
from classlift.text import shorten

if TYPE_CHECKING:
    import _csv

MAX_BYTES = GIGA
"""The most bytes of a CSV file, whose boxes are in memory at once."""

NAMES: Mapping[str, tuple[str, ...]] = {
    "filename": (
        "filename",
        "file_name",
        "image",
        "image_name",
        "image_path",
        "path",
        "img",
        "file",
        "image_id",
    ),
    "class": ("class", "label", "class_name", "category", "name", "labels", "label_name"),
    "xmin": ("xmin", "x_min", "x1", "left", "bbox_x"),
    "ymin": ("ymin", "y_min", "y1", "top", "bbox_y"),
    "xmax": ("xmax", "x_max", "x2", "right"),
    "ymax": ("ymax", "y_max", "y2", "bottom"),
    "width": ("width", "image_width", "img_width"),
    "height": ("height", "image_height", "img_height"),
    "box_width": ("bbox_width",),
    "box_height": ("bbox_height",),
    "difficult": ("difficult",),
    "iscrowd": ("iscrowd", "is_crowd"),
}
"""What the columns are called, by what they say, in small letters."""

NEEDED = ("filename", "class", "xmin", "ymin", "xmax", "ymax")
SIDES = NEEDED[2:]
_ENDS = {"xmax": ("xmin", "box_width"), "ymax": ("ymin", "box_height")}
"""Where the size of a box stands instead of its ends."""

_NUMBERS = (*SIDES, "box_width", "box_height")

_HEADLESS = (
    ("filename", *SIDES, "class"),  # keras-retinanet, Roboflow
    (  # Make Sense
        *("label_name", "bbox_x", "bbox_y", "bbox_width", "bbox_height"),
        *("image_name", "image_width", "image_height"),
    ),
)
"""The columns of files whose first line is a row."""

_DELIMITERS = ",;\t"
_EXCEL = re.compile(r"sep=.\s*", re.IGNORECASE)
"""A first line by which Excel knows the delimiter."""

SUFFIXES = (".csv", ".tsv")
"""What files of rows are called."""

_LONGEST_LINE = 100_000
_WHAT = "the CSV file"


@dataclass(frozen=True)
class Table:
    """The rows of a CSV file, read one by one: the number of its last line, its fields by column.

    They raise DataError where the file is no CSV; it names file and line. Where fields are
    delimited by semicolons, as in half of Europe, a comma in a number is its decimal point.
    """

    columns: tuple[str, ...]
    rows: Iterator[tuple[int, Mapping[str, str]]]
    has_decimal_commas: bool = False


def header_of(path: Path) -> tuple[str, ...]:
    """The columns that the first line of a CSV file names, as they stand; none of no CSV."""
    if path.suffix.lower() not in SUFFIXES:
        return ()
    try:
        first = _first_line(path)
    except DataError:
        return ()
    if "\ufffd" in first:
        return ()
    names = tuple(name.strip().strip('"') for name in first.strip().split(_delimiter(first)))
    return _headless(names) or names


def _first_line(path: Path) -> str:
    """The first line of a CSV file, behind Excel's own; what is no UTF-8 is replaced."""
    with open_regular(path, _WHAT) as file:
        first = file.readline(_LONGEST_LINE).decode("utf-8-sig", "replace")
        if _EXCEL.fullmatch(first):
            first = file.readline(_LONGEST_LINE).decode("utf-8", "replace")
    return first


def _delimiter(line: str) -> str:
    return max(_DELIMITERS, key=line.count)


def _headless(fields: Sequence[str]) -> tuple[str, ...] | None:
    """The columns of a first line that is a row, and names none; None where it names them."""
    for columns in _HEADLESS:
        row = dict(zip(columns, fields, strict=False))
        said = columns_of(columns)
        if len(fields) != len(columns):
            continue
        numbers = [row[said[name]].strip() for name in said if name not in ("filename", "class")]
        is_image = Path(row[said["filename"]].strip()).suffix.lower() in IMAGE_SUFFIXES
        if is_image and all(not number or math.isfinite(side(number)) for number in numbers):
            return columns
    return None


def read_table(path: Path) -> Table:
    """Reads a CSV file, delimited by commas, semicolons or tabs, whose first line names columns.

    Args:
        path: of the file, of at most `MAX_BYTES`.

    Returns:
        Its rows, without empty lines.

    Raises:
        DataError: a column is named twice; and while rows are read: quotes are not closed, a line
            breaks in a field, rows are of another length.

    """
    delimiter = _delimiter(_first_line(path))
    rows = _rows(path, delimiter)
    line, first = next(rows, (0, []))
    columns = _headless(first)
    if columns:
        rows = chain([(line, first)], rows)
    else:
        columns = tuple(name.strip() for name in first)
    if len(set(columns)) < len(columns):
        raise DataError(f"{path}: the first line names a column twice.")
    named = ((line, dict(zip(columns, row, strict=True))) for line, row in rows)
    return Table(columns, named, has_decimal_commas=delimiter == ";")


def _rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file that are not empty, each of as many fields as the first."""
    try:
        with open_text(path, _WHAT, MAX_BYTES) as file:
            first = file.readline()
            lines = chain(["\n" if _EXCEL.fullmatch(first) else first], file)
            yield from _whole_rows(path, csv.reader(lines, delimiter=delimiter, strict=True))
    except UnicodeDecodeError:
        read_text(path, _WHAT, MAX_BYTES)  # says at which byte
        raise


def _whole_rows(path: Path, reader: "_csv.Reader") -> Iterator[tuple[int, list[str]]]:
    count = 0
    try:
        for fields in reader:
            if not "".join(fields).strip() and len(fields) < 2:
                continue  # an empty line
            if not count:
                count = len(fields)
            elif len(fields) != count or any("\n" in f or "\r" in f for f in fields):
                raise DataError(
                    f"{path}: line {reader.line_num} has {len(fields)} fields, and the first line "
                    f"names {count} columns."
                )
            yield reader.line_num, fields
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num} is no CSV ({error}).") from None


def columns_of(columns: Sequence[str]) -> dict[str, str]:
    """Which column says what.

    Args:
        columns: as the file calls them.

    Returns:
        The columns by what they say, of `NAMES`; one that is called like none says nothing.

    >>> columns_of(["Filename", "x1", "notes"])
    {'filename': 'Filename', 'xmin': 'x1'}

    """
    known = {name.lower(): name for name in reversed(columns)}
    found = {}
    for what, names in NAMES.items():
        called = [known[name] for name in names if name in known]
        if called:
            found[what] = called[0]
    return found


def find(path: Path) -> list[Place]:
    """CSV files with a row a box at a path."""
    return find_files("csv", path, is_one, SUFFIXES)


def is_one(path: Path) -> bool:
    """Whether a file is a CSV whose columns make a box."""
    return not _missing(columns_of(header_of(path)))


def _missing(columns: Mapping[str, str]) -> list[str]:
    """What a row needs, and no column says: an end follows from a size."""
    return [
        name
        for name in NEEDED
        if name not in columns and not set(_ENDS.get(name, (name,))) <= set(columns)
    ]


def csv_shards(place: Place) -> Iterator[Shard]:
    """Reads a CSV file with a row a box whole: `filename,width,height,class,xmin,ymin,xmax,ymax`.

    Sides are pixels. Columns may stand in any order and be called otherwise (`image` or `path`;
    `label` or `name`; `x1` or `left`), and those of the size may be left out. A row without class
    and sides is an image without objects. Fields may be delimited by semicolons or tabs. Without a
    line of columns, a row is `filename,xmin,ymin,xmax,ymax,class`, as keras-retinanet and Roboflow
    have it, or `class,x,y,width,height,filename,width,height`, as Make Sense does.

    Args:
        place: of the file.

    Yields:
        Shards that hold their labels.

    Raises:
        DataError: as `read_table`; a column is missing; or rows give an image two sizes.

    """
    path, found = place.path, Collected(place)
    table = read_table(path)
    columns = columns_of(table.columns)
    missing = _missing(columns)
    if missing:
        raise DataError(
            f"{path}: the first line of a CSV of boxes names its columns, "
            f"{','.join(['filename', 'width', 'height', *NEEDED[1:]])}; {missing[0]!r} is missing."
        )
    for line, fields in table.rows:
        row = {what: fields[column] for what, column in columns.items()}
        where = f"{path.parent.name}/{path.name} line {line}"
        image = image_of(row, found, where, f"{path}: line {line}")
        if not row["class"].strip() and not any(row.get(name, "").strip() for name in SIDES):
            continue
        if table.has_decimal_commas:
            row |= {name: row[name].replace(",", ".") for name in _NUMBERS if name in row}
        image.add(
            row["class"],
            _corners(row),
            where,
            is_crowd=flag_of(row.get("iscrowd"), "iscrowd", f"{path}: line {line}"),
            difficult=flag_of(row.get("difficult"), "difficult", f"{path}: line {line}"),
        )
    yield from found.shards()


def image_of(row: Mapping[str, str], found: Collected, where: str, place: str) -> CollectedImage:
    """The image that a row is about. Raises DataError where rows give it different sizes."""
    name = row["filename"]
    if not name.strip():
        raise DataError(f"{place} names no image file.")
    width, height = (size_of(row.get(what), what, place) for what in ("width", "height"))
    image = found.get(name)
    if image is None:
        return found.add(name, where, place, width, height)
    if (width, height) != (image.image.width, image.image.height):
        raise DataError(
            f"{place}: {shorten(name, 200)!r} has another width or height than in "
            f"{image.image.source}."
        )
    return image


def _corners(row: Mapping[str, str]) -> Corners:
    xmin, ymin, xmax, ymax = (_side(row, name) for name in SIDES)
    return xmin, ymin, xmax, ymax


def _side(row: Mapping[str, str], name: str) -> float:
    """A side of a box, or what its start and its size make."""
    if name in row:
        return side(row[name].strip())
    return sum(side(row[part].strip()) for part in _ENDS[name])
