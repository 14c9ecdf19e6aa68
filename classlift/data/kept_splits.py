"""The memory of splits outlives the work folder: each served version carries it.

An image that a served model was trained on must never be among those that judge the next one. Which
split each image is in stands in `WORK/memory`; where that is lost, the served versions know it.
"""

import hashlib
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from classlift.data.checksums import text_of
from classlift.data.schema import SPLITS
from classlift.errors import DataError
from classlift.paths import replacing

logger = logging.getLogger(__name__)

FILE = "splits.parquet"
"""The file in the memory, a snapshot, examples and, below `assets.extra`, a served version."""

SCHEMA = pa.schema([(name, pa.string()) for name in ("image_id", "sha256", "split", "group")])

_SUM = b"classlift_sha256"
_ROW_GROUP = 20_000  # rows; what a Parquet writer holds in memory


def hand_on(source: Path, folder: Path) -> None:
    """Copies the splits from the folder `source`, where it has them, to another folder."""
    if (source / FILE).exists():
        shutil.copyfile(source / FILE, folder / FILE)


def restore(served: Sequence[Path], memory: Path) -> None:
    """Fills the memory of splits from the served versions, where it has none, and says so.

    Nothing happens where nothing is served.

    Args:
        served: their `assets.extra`, the newest first, which says the split of an image that
            several know.
        memory: folder of the memory.

    """
    if (memory / FILE).exists() or not served:
        return
    found, told = SCHEMA.empty_table(), []
    for entry in served:
        table = _read(entry / FILE)
        if table is None:
            continue
        new = pc.invert(pc.is_in(table["image_id"], value_set=found["image_id"].combine_chunks()))
        found = pa.concat_tables([found, table.filter(new)])
        told.append(entry.parent.name)
    if not told:
        logger.warning(
            f"{memory / FILE}: there is no memory of splits, and no version in "
            f"{served[0].parent.parent} carries one (those of earlier ClassLift versions don't), "
            f"so the splits that version {served[0].parent.name} was trained on can't be restored: "
            "images that it was trained on may "
            "judge the next model now, and flatter both. Put the memory back, or name the split of "
            "each source."
        )
        return
    with replacing(memory / FILE) as draft:
        write(found, draft)
    logger.warning(
        f"{memory / FILE}: there is no memory of splits; those of {found.num_rows} images were "
        f"restored from served versions ({_listed(told)})"
    )


def write(splits: pa.Table, path: Path) -> None:
    """Writes splits with a checksum of what they say, which copies of the file carry too."""
    splits = splits.combine_chunks().replace_schema_metadata({_SUM: _checksum(splits)})
    pq.write_table(splits, path, row_group_size=_ROW_GROUP)


def remembered(path: Path) -> pa.Table:
    """The splits that images were given before.

    They are no cache, and never guessed: nothing else knows what no model may be judged by.

    Args:
        path: of the file in the memory.

    Returns:
        A table as `SCHEMA`, empty where there is no file.

    Raises:
        DataError: it is damaged.

    """
    if not path.exists():
        return SCHEMA.empty_table()
    found = _read(path)
    if found is None:
        raise DataError(
            f"{path}: the memory of splits is damaged, without which images of train could come to "
            "test: put a copy of it back, or remove it, and what served versions carry of it "
            f"(assets.extra/{FILE}) is taken."
        )
    return found


def learned_by(splits: pa.Table) -> pa.Table:
    """The splits that a model may have been trained by.

    Without an image in each of the three no run comes past its validation: where one is missing,
    nothing was learned yet, and whoever changes `split_from` gets what it says.

    Args:
        splits: as `SCHEMA`, all that were ever given.

    Returns:
        The same; none where a split is missing.

    """
    is_whole = set(SPLITS) <= set(splits["split"].unique().to_pylist())
    return splits if is_whole else SCHEMA.empty_table()


def _read(path: Path) -> pa.Table | None:
    """The splits in a file; None where there is none, or not what was written."""
    try:
        table = pq.read_table(path)
        splits = table.select(SCHEMA.names).cast(SCHEMA)
        splits.validate(full=True)
    except (OSError, KeyError, ValueError, pa.ArrowException):
        return None
    total = (table.schema.metadata or {}).get(_SUM)
    # Those of earlier versions have none.
    return splits if total in (None, _checksum(splits)) else None


def _checksum(splits: pa.Table) -> bytes:
    """SHA-256 of the texts of all columns and of their lengths."""
    digest = hashlib.sha256()
    for name in SCHEMA.names:
        texts = splits[name].combine_chunks()
        digest.update(pc.fill_null(pc.binary_length(texts), -1).to_numpy().tobytes())
        digest.update(text_of(texts))
    return digest.hexdigest().encode()


def _listed(versions: Sequence[str], shown: int = 5) -> str:
    more = len(versions) - shown
    return ", ".join(versions[:shown]) + (f" and {more} more" if more > 0 else "")
