"""Open Images: a CSV with a row a box, in shares of the image, and class names in another CSV."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from classlift.data.formats.collected import Collected, find_files, side
from classlift.data.formats.csv_rows import header_of, read_table
from classlift.data.labels import Rounding, Shard, nameless
from classlift.data.places import Place
from classlift.data.unusable import absent
from classlift.errors import DataError
from classlift.reading import read_text

COLUMNS = ("ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax")
"""The columns that a row needs."""

ROUNDING = Rounding(share=1e-6)
"""Six decimals of a share."""

NAMELESS = "a class has a name; without *class-descriptions*.csv beside the boxes it is its code"
MAX_NAMES_BYTES = 10_000_000


def find(path: Path) -> list[Place]:
    """The CSV files of Open Images' boxes at a path."""
    return find_files("open_images", path, is_one)


def is_one(path: Path) -> bool:
    """Whether a file is a CSV with the columns of Open Images."""
    return set(COLUMNS) <= set(header_of(path))


def open_images_shards(place: Place) -> Iterator[Shard]:
    """Reads the boxes of Open Images whole.

    Sides are shares of the image, whose file is called as its id. `IsGroupOf` is a crowd. Class
    codes get the names that a `*class-descriptions*.csv` in the same folder gives them, or
    FiftyOne's `metadata/classes.csv`.

    Args:
        place: of the CSV file of boxes.

    Yields:
        Shards that hold their labels.

    Raises:
        DataError: it is no such thing; names file and line.

    """
    path, found = place.path, Collected(place)
    table = read_table(path)
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise DataError(f"{path}: the column {missing[0]!r} of Open Images is missing.")
    names = _class_names(path.parent)
    gone: set[str] = set()
    for line, row in table.rows:
        where, at = f"{path.parent.name}/{path.name} line {line}", f"{path}: line {line}"
        image = found.get(row["ImageID"])
        if image is None:
            file = found.files.find_stem(row["ImageID"], at)
            if file is None:
                if row["ImageID"] not in gone:
                    reason = f"no file below {found.files.folder} has this id"
                    found.add_problem(absent(row["ImageID"], where, reason))
                gone.add(row["ImageID"])
                continue
            image = found.add(row["ImageID"], where, at, found=file)
        width, height = image.size()
        xmin, xmax, ymin, ymax = (side(row[name].strip()) for name in COLUMNS[2:])
        code = row["LabelName"]
        label, source = names.get(code, code), where
        if names and code not in names:
            label, source = nameless(where, code)
        if not names and code.startswith("/m/"):
            image.say(f"{NAMELESS}: {code}", "warning")
        image.add(
            label,
            (xmin * width, ymin * height, xmax * width, ymax * height),
            source,
            is_crowd=row.get("IsGroupOf", "").strip() == "1",
        )
    yield from found.shards()


def _class_names(folder: Path) -> Mapping[str, str]:
    """The names of classes by their codes, of the first file of them; {} of none."""
    of_fiftyone = folder.parent / "metadata" / "classes.csv"
    for path in [*sorted(folder.glob("*class-descriptions*.csv")), of_fiftyone]:
        if not path.is_file():
            continue
        lines = read_text(path, "the names of the classes", MAX_NAMES_BYTES).splitlines()
        pairs = [line.partition(",") for line in lines if line.strip()]
        return {code: name.strip().strip('"') for code, _, name in pairs if code != "LabelName"}
    return {}
