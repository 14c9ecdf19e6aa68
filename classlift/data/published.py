"""The splits that are published with labels: they stand, unless somebody asks for others."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from classlift.data.schema import SPLITS
from classlift.errors import DataError
from classlift.settings.sources import EVAL, PUBLISHED, SPREAD, TEST, TRAIN

HELD_OUT = "eval or test"
"""The split of an image that is in no train split, while eval and test are still to be parted."""


def settle(
    splits: pa.ChunkedArray, split_from: str | None, path: Path
) -> tuple[pa.ChunkedArray, list[str]]:
    """The splits of a source's images that hold, and what is to be said of them.

    Args:
        splits: as published, of `SPLITS`; null where nothing is.
        split_from: as the config says, see `classlift.settings.sources.SourceSettings`.
        path: of the source, for sentences.

    Returns:
        The splits, null where they are to be found, `HELD_OUT` where train is out of question; and
        sentences.

    Raises:
        DataError: the splits that are asked for were not published.

    """
    counts = Counter(splits.to_pylist())
    unlisted = counts.pop(None, 0)
    nothing = pa.chunked_array([pa.nulls(len(splits), pa.string())])
    if split_from == SPREAD:
        return nothing, []
    if split_from and (not counts or (split_from == TRAIN and TRAIN not in counts)):
        raise DataError(
            f"{path}: split_from: {split_from} needs splits that are published with the labels, "
            f"such as folders or files called train, val and test, and there "
            f"{_found(counts)}: name the split of each source, or leave split_from out."
        )
    if split_from == TRAIN:
        held = pc.and_(pc.is_valid(splits), pc.not_equal(splits, TRAIN))
        return pc.if_else(held, HELD_OUT, splits), []
    if split_from != PUBLISHED and len(counts) < 2:
        return nothing, [
            f"{path}: its name says {split}, and its images are spread over all splits: write "
            f"`split: {split}` to keep them there"
            for split in counts
        ]
    shares = ", ".join(f"{counts[split]} {split}" for split in SPLITS if counts[split])
    notes = [f"{path}: the published splits stand: {shares}"]
    if unlisted:
        notes.append(f"{path}: {unlisted} images are in no published split, and are spread")
    return splits, notes


def _found(counts: Counter[str]) -> str:
    return f"is {' and '.join(counts)} alone" if counts else "are none"


def missing(images: pa.Table) -> Iterator[str]:
    """Sentences on splits that no image of a snapshot is in, where published ones stand."""
    there = set(images["split"].unique().to_pylist())
    uses = {
        TRAIN: "from which the model learns",
        EVAL: "on which every choice is made",
        TEST: "on which the gate decides",
    }
    for split in SPLITS:
        if split in there:
            continue
        way = f"name a source with `split: {split}`"
        if split != TRAIN:
            way += (
                ", or say `split_from: train`, which parts the images that are published beside "
                "train into eval and test"
            )
        yield f"no image is in {split}, {uses[split]}: {way}"
