"""What is read of one shard, kept as a part so that it need not be read again."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from classlift.data.checksums import checksum, damage, seal, write_checksums
from classlift.data.formats import FORMATS
from classlift.data.images import (
    ENCODED_ANEW,
    FOR_TENSORFLOW,
    LYING,
    TURNED,
    UPRIGHT,
    ImageFacts,
    Known,
    probe_all,
    turned_size,
)
from classlift.data.labels import LabelledBox, LabelledImage, Rounding, Shard
from classlift.data.media import file_of
from classlift.data.problems import CRITICAL, INFO, WARNING, ImageProblem, from_table, to_table
from classlift.data.schema import BOXES
from classlift.paths import State, replacing, state

Sides = npt.NDArray[np.float64]

_STATE = [(name, pa.int64()) for name in ("size", "mtime_ns", "ctime_ns", "inode")]
_FACTS = [
    ("sha256", pa.string()),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("format", pa.string()),
    ("orientation", pa.int32()),
    ("phash", pa.string()),
    ("problem", pa.string()),
]
PART_IMAGES = pa.schema(
    [
        ("file_name", pa.string()),
        ("uri", pa.string()),
        ("source", pa.string()),
        ("split", pa.string()),  # as published; null where the format does not say
        ("claimed_width", pa.int32()),  # by the labels; null where the format does not say
        ("claimed_height", pa.int32()),
        ("clipped", pa.int32()),  # boxes that left the image by no more than the format rounds
        *_STATE,
        *_FACTS,
    ]
)
PART_BOXES = pa.schema(
    [
        ("file_name", pa.string()),
        *[BOXES.field(name) for name in ("label", "xmin", "ymin", "xmax", "ymax")],
        *[BOXES.field(name) for name in ("is_crowd", "difficult", "source")],
    ]
)
ROUNDED = "sides of boxes leave their image by no more than its format rounds, and are clipped"
"""What is said of an image where that is so."""

KNOWN = "known.parquet"
"""The images of all parts of the last snapshot, for shards whose labels have changed."""

_KNOWN_SUMS = "known.sums"
_KNOWN = pa.schema([("uri", pa.string()), *_STATE, *_FACTS])
if [name for name, _ in _FACTS] != [field.name for field in fields(ImageFacts)]:
    raise TypeError("the columns of a part are the fields of ImageFacts")


def read_shard(shard: Shard, folder: Path) -> None:
    """Reads labels and images of a shard, and writes its part into `folder`."""
    labels = FORMATS[shard.format].read(shard)
    uris = [image.uri for image in labels.images]
    looks = probe_all(uris, _known(folder / KNOWN, uris))
    sizes = {
        image.file_name: _size(image, facts)
        for image, (_, facts) in zip(labels.images, looks, strict=True)
    }
    corners, clipped = _clipped(labels.boxes, sizes, FORMATS[shard.format].rounding)
    counts = Counter(box.file_name for box, was in zip(labels.boxes, clipped, strict=True) if was)
    images = [
        (
            i.file_name,
            i.uri,
            i.source,
            i.split,
            i.width if i.is_sized else None,
            i.height if i.is_sized else None,
            counts[i.file_name],
            *found,
            *astuple(facts),
        )
        for i, (found, facts) in zip(labels.images, looks, strict=True)
    ]
    _write(folder / f"{shard.key}.boxes.parquet", _boxes(labels.boxes, corners))
    _write(folder / f"{shard.key}.images.parquet", _table(images, PART_IMAGES))
    _write(folder / f"{shard.key}.remarks.parquet", to_table(labels.remarks))
    # Written last: a part with its checksums is whole.
    seal(folder, _files(shard.key), _sums(shard.key))


def _size(image: LabelledImage, facts: ImageFacts) -> tuple[int, int]:
    """The size of an image that its boxes are for."""
    width, height = turned_size(facts.width, facts.height, facts.orientation)
    return image.width or width, image.height or height


def _files(key: str) -> list[str]:
    return [f"{key}.{kind}.parquet" for kind in ("boxes", "images", "remarks")]


def _sums(key: str) -> str:
    return f"{key}.sums"


def _clipped(
    boxes: Sequence[LabelledBox], sizes: Mapping[str, tuple[int, int]], rounding: Rounding
) -> tuple[Sides, npt.NDArray[np.bool_]]:
    """Clips boxes that leave their image by no more than the format rounds.

    What leaves it by more stays as it is, for the validator to name.

    Args:
        boxes: of any images.
        sizes: width and height of the images in pixels, by file name.
        rounding: of the format.

    Returns:
        The corners, [boxes, 4] in pixels, and which were clipped, [boxes].

    """
    corners = np.array([box.box for box in boxes], np.float64).reshape(-1, 4)
    extents = np.array([sizes[box.file_name] for box in boxes], np.float64).reshape(-1, 2)
    extents = np.concatenate([extents, extents], axis=1)
    inside = np.clip(corners, 0, extents)
    with np.errstate(invalid="ignore"):  # infinite sides
        beyond = np.abs(corners - inside)
    slight = (beyond > 0) & (beyond <= rounding.share * extents + rounding.pixels)
    return np.where(slight, inside, corners), np.asarray(slight.any(axis=1), np.bool_)


def _boxes(boxes: Sequence[LabelledBox], corners: Sides) -> pa.Table:
    with np.errstate(over="ignore"):  # beyond float32 a side is infinite, which a rule names
        sides = corners.T.astype(np.float32)
    columns = (
        [box.file_name for box in boxes],
        [box.label for box in boxes],
        *sides,
        [box.is_crowd for box in boxes],
        [box.difficult for box in boxes],
        [box.source for box in boxes],
    )
    kinds = zip(columns, PART_BOXES.types, strict=True)
    return pa.Table.from_arrays([pa.array(*column) for column in kinds], schema=PART_BOXES)


def _table(rows: list[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _known(path: Path, uris: list[str]) -> Known:
    if not path.exists():
        return {}
    rows = pq.read_table(path, filters=[("uri", "in", uris)], use_threads=False)
    found = zip(*(rows[name].to_pylist() for name in _KNOWN.names), strict=True)
    end = 1 + len(_STATE)
    return {row[0]: (row[1:end], ImageFacts(*row[end:])) for row in found}


def _write(path: Path, table: pa.Table) -> None:
    with replacing(path) as draft:
        pq.write_table(table, draft)


def forget_damaged(folder: Path, shards: Sequence[Shard]) -> int:
    """Removes what is no longer what was written; the number of files and parts that were."""
    count = 0
    for shard in shards:
        path = folder / _sums(shard.key)
        if path.exists() and damage(folder, _files(shard.key), path.name):
            path.unlink()
            count += 1
    if (folder / KNOWN).exists() and damage(folder, [KNOWN], _KNOWN_SUMS):
        (folder / KNOWN).unlink()
        count += 1
    return count


def is_current(shard: Shard, folder: Path) -> bool:
    """Whether a shard was read, and none of its image files has changed since."""
    path = folder / f"{shard.key}.images.parquet"
    if not (folder / _sums(shard.key)).exists():
        return False
    columns = ["uri", *[name for name, _ in _STATE]]
    images = pq.read_table(path, columns=columns, use_threads=False)
    now: dict[str, State] = {}
    for uri, *then in zip(*(images[name].to_pylist() for name in columns), strict=True):
        file = file_of(uri)
        if file not in now:
            now[file] = state(file)
        if now[file] != tuple(then):
            return False
    return True


def read_part(key: str, folder: Path) -> tuple[pa.Table, pa.Table, list[ImageProblem]]:
    """(images, boxes, remarks of the reader) of the shard with this key, which was read."""
    images, boxes, remarks = (
        pq.read_table(folder / f"{key}.{kind}.parquet", use_threads=False)
        for kind in ("images", "boxes", "remarks")
    )
    return images, boxes, from_table(remarks)


def keep_only(folder: Path, keys: Sequence[str]) -> None:
    """Remembers the images of these parts for the next snapshot, and forgets others."""
    with replacing(folder / KNOWN) as draft:
        with pq.ParquetWriter(draft, _KNOWN) as writer:
            for key in keys:
                path = folder / f"{key}.images.parquet"
                writer.write_table(pq.read_table(path, columns=_KNOWN.names, use_threads=False))
        # Before the file is there: killed in between, the one that is there is not taken.
        write_checksums(folder / _KNOWN_SUMS, {KNOWN: [checksum(draft)]})
    kept = {*keys, KNOWN.partition(".")[0]}
    for path in folder.iterdir():
        if path.suffix in (".parquet", ".sums") and path.name.partition(".")[0] not in kept:
            path.unlink()


def judge(images: pa.Table) -> tuple[pa.Table, list[ImageProblem]]:
    """Compares the files with what the labels claim.

    Args:
        images: as `PART_IMAGES`.

    Returns:
        The images with `width` and `height` in pixels as claimed, or as found where nothing is,
        turned as a viewer does; and the problems, in which an image has its `file_name` as its id.

    """
    lying = pc.is_in(images["orientation"], value_set=pa.array(LYING, pa.int32()))
    found = [images["width"], images["height"]]
    turned = [pc.if_else(lying, *sides) for sides in (found[::-1], found)]
    width = pc.coalesce(images["claimed_width"], turned[0])
    height = pc.coalesce(images["claimed_height"], turned[1])
    differs = pc.or_(pc.not_equal(width, images["width"]), pc.not_equal(height, images["height"]))
    doubtful = pc.or_(
        pc.or_(differs, pc.not_equal(images["problem"], "")),
        pc.or_(pc.not_equal(images["orientation"], UPRIGHT), pc.greater(images["clipped"], 0)),
    )
    anew = pc.invert(pc.is_in(images["format"], value_set=pa.array(FOR_TENSORFLOW)))
    doubtful = pc.or_(doubtful, anew)
    problems = [
        ImageProblem(image.file_name, image.source, doubt, severity)
        for image in _claims(images.filter(doubtful))
        for doubt, severity in _doubts(image)
    ]
    for name, column in (("width", width), ("height", height)):
        images = images.set_column(images.column_names.index(name), name, column)
    return images, problems


class _Claim(NamedTuple):
    """An image file beside what the labels claim of it."""

    file_name: str
    source: str
    problem: str
    format: str
    width: int
    height: int
    claimed_width: int | None
    claimed_height: int | None
    orientation: int
    clipped: int


def _claims(images: pa.Table) -> list[_Claim]:
    return [_Claim(**row) for row in images.select(_Claim._fields).to_pylist()]


def _doubts(image: _Claim) -> Iterator[tuple[str, str]]:
    """What is to be said of an image: a rule and its value, with a severity."""
    if image.clipped:
        yield f"{ROUNDED}: {image.clipped}", INFO
    if image.problem:
        yield image.problem, CRITICAL
        return
    if image.format not in FOR_TENSORFLOW:
        yield f"{ENCODED_ANEW}: it is {image.format.upper()}", INFO
    found = image.width, image.height
    view = turned_size(*found, image.orientation)
    claims = image.claimed_width, image.claimed_height
    claimed = tuple(v if claim is None else claim for claim, v in zip(claims, view, strict=True))
    turned = image.orientation
    if None in claims and turned != UPRIGHT:
        yield (
            f"{TURNED}: Exif orientation {turned} turns it, and its labels state no size, so they "
            f"are taken for the turned view ({view[0]}x{view[1]}), which labelling tools show; if "
            "they are for the pixels as stored, remove the orientation from the file",
            CRITICAL,
        )
    elif claimed != found and turned != UPRIGHT and claimed == found[::-1]:
        yield (
            f"{TURNED}: Exif orientation {turned} turns it, and "
            f"the labels are for the turned view ({claimed[0]}x{claimed[1]}); turn its pixels",
            CRITICAL,
        )
    elif claimed != found:
        yield (
            f"image has the size that its labels claim: {claimed[0]}x{claimed[1]}, and it is "
            f"{found[0]}x{found[1]}",
            CRITICAL,
        )
    elif turned != UPRIGHT:
        yield (
            f"image is stored upright: Exif orientation {turned} is ignored, its pixels and boxes "
            "are taken as stored",
            WARNING,
        )
