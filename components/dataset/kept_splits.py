"""The memory of splits outlives the work folder: each served version carries it.

An image that a served model was trained on must never be among those that judge the next one. Which
split each image is in stands in `WORK/memory`; where that is lost, the served versions know it.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.dataset.paths import replacing
from components.serving_folder import ENTRY, served_versions

FILE = "splits.parquet"
"""Of the memory, of a snapshot, of examples and, below `assets.extra`, of a served version."""

SCHEMA = pa.schema([(name, pa.string()) for name in ("image_id", "sha256", "split", "group")])


def hand_on(source: Path, folder: Path) -> None:
    """Copies the splits from the folder `source`, where it has them, to another folder."""
    if (source / FILE).exists():
        shutil.copyfile(source / FILE, folder / FILE)


def restore(serving: Path, memory: Path, report: Callable[[str], None]) -> None:
    """Fills the memory of splits from the served versions, where it has none, and says so.

    The newest version that knows an image says its split. Nothing happens where nothing is served.
    """
    versions = served_versions(serving)[::-1]
    if (memory / FILE).exists() or not versions:
        return
    found, told = SCHEMA.empty_table(), []
    for version in versions:
        table = _read(serving / str(version) / ENTRY / FILE)
        if table is None:
            continue
        new = pc.invert(pc.is_in(table["image_id"], value_set=found["image_id"].combine_chunks()))
        found = pa.concat_tables([found, table.filter(new)])
        told.append(version)
    if not told:
        report(
            f"{memory / FILE}: there is no memory of splits, and no version in {serving} carries "
            f"one (those of earlier ClassLift versions don't), so the splits that version "
            f"{versions[0]} was trained on can't be restored: images that it was trained on may "
            "judge the next model now, and flatter both. Put the memory back, or name the split of "
            "each source."
        )
        return
    with replacing(memory / FILE) as draft:
        pq.write_table(found, draft)
    report(
        f"{memory / FILE}: there is no memory of splits; those of {found.num_rows} images were "
        f"restored from served versions ({_listed(told)})"
    )


def _read(path: Path) -> pa.Table | None:
    """The splits in a file; None where there is none that can be read."""
    try:
        return pq.read_table(path).select(SCHEMA.names).cast(SCHEMA)
    except (OSError, KeyError, pa.ArrowException):
        return None


def _listed(versions: Sequence[int], shown: int = 5) -> str:
    more = len(versions) - shown
    return ", ".join(map(str, versions[:shown])) + (f" and {more} more" if more > 0 else "")
