"""Which images are one sample: the frames of a scene, and near twins, say next to nothing anew.

Frames of one video are no independent evidence: of equal models, judged as if each of 500 frames
from 25 scenes stood for itself, 14% were pushed instead of 5% (`benchmarks/gate.py`). So the unit
of all that the gate counts and draws is the scene.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePath

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from classlift.data.components import components
from classlift.data.duplicates import Bits, hash_bits, near_components
from classlift.errors import DataError

SEQUENCE_DISTANCE = 72
"""The most of 256 bits in which neighbours of a sequence differ. Measured on photographs numbered
one after the other that are no sequence (181 of building sites, 363 of cards): but for true twins,
all neighbours differ in 86 or more. Of drives through CARLA's towns, a frame a second or three, 25
to 55% of neighbours are within."""

MAX_CHANCE = 0.1
"""The largest share of the joined neighbours that chance explains, as pairs far apart show."""

GROUP, SEQUENCE, TWINS = "`group`", "sequence in file names", "near duplicates"
HELD_OUT = ("eval", "test")

Indices = npt.NDArray[np.int64]


FILE = "units.json"
"""The file of the units in the folder of the Examples."""


@dataclass(frozen=True)
class Units:
    """The units of the images of eval and test.

    Attributes:
        of_image: the name of the unit of each image, by image_id; it is that of one of its images.
        reasons: by split, what joined images there, of `GROUP`, `SEQUENCE`, `TWINS`.
        counts: by split, images and units.

    """

    of_image: dict[str, str]
    reasons: dict[str, tuple[str, ...]]
    counts: dict[str, tuple[int, int]]

    def sentence(self, split: str) -> str:
        """What the unit of a split is, such as "500 images in 25 scenes, by `group`"."""
        images, units = self.counts[split]
        some = f"{images} image{'' if images == 1 else 's'}"
        if images == units:
            return f"{some}, each its own"
        why = " and ".join(self.reasons[split])
        return f"{some} in {units} scene{'' if units == 1 else 's'}, by {why}"


def write_units(units: Units, folder: Path) -> None:
    """Writes the unit of each image that is not its own, for whoever has no snapshot."""
    shared = {name: unit for name, unit in units.of_image.items() if name != unit}
    (folder / FILE).write_text(json.dumps(shared, indent=0))


def read_units(folder: Path) -> dict[str, str]:
    """Reads the units that `write_units` wrote.

    Args:
        folder: of the Examples.

    Returns:
        The name of each unit by image_id; an image that is not there is its own.

    Raises:
        DataError: the file is missing or damaged.

    """
    path = folder / FILE
    try:
        return {str(name): str(unit) for name, unit in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path}: it is missing or damaged ({error}); remove the Examples and run again."
        ) from None


def find_units(images: pa.Table) -> Units:
    """Finds what is one sample: images joined by group, by sequence, and as near duplicates.

    Sequences run through all splits, so that two frames of test are of one scene also where those
    between them are in train.

    Args:
        images: `schema.IMAGES` of a whole snapshot.

    Returns:
        The units of the images of eval and test.

    """
    names = images["image_id"].to_pylist()
    phashes = images["phash"].to_pylist()
    splits = np.array(images["split"].to_pylist(), object)
    seen = np.flatnonzero([bool(phash) for phash in phashes])  # the others can't be read
    bits = hash_bits([phashes[row] for row in seen])
    held = np.flatnonzero(np.isin(splits, HELD_OUT))
    held_seen = np.flatnonzero(np.isin(splits[seen], HELD_OUT))
    twins = near_components(bits[held_seen])
    first = np.unique(twins, return_index=True)[1]
    number = np.searchsorted(twins[first], twins)
    joins = {
        GROUP: _edges_of_groups(pc.dictionary_encode(images["group"].combine_chunks())),
        TWINS: np.stack([seen[held_seen][first][number], seen[held_seen]], axis=1),
        SEQUENCE: seen[_sequences([names[row] for row in seen], bits)],
    }
    reasons: dict[str, tuple[str, ...]] = dict.fromkeys(HELD_OUT, ())
    edges = np.empty((0, 2), np.int64)
    component = np.arange(len(names))
    counts = _counts(component, splits)
    for reason, found in joins.items():
        edges = np.concatenate([edges, found])
        component = components(len(names), edges[:, 0], edges[:, 1])
        fewer = _counts(component, splits)
        for split in HELD_OUT:
            if fewer[split] < counts[split]:
                reasons[split] += (reason,)
        counts = fewer
    named = np.unique(component, return_index=True)[1][component]
    return Units(
        of_image={names[row]: names[named[row]] for row in held},
        reasons=reasons,
        counts={split: (int((splits == split).sum()), counts[split]) for split in HELD_OUT},
    )


def _counts(component: Indices, splits: npt.NDArray[np.object_]) -> dict[str, int]:
    return {split: len(np.unique(component[splits == split])) for split in HELD_OUT}


def _edges_of_groups(groups: pa.DictionaryArray) -> Indices:
    """[images, 2]: each image with the first of its group; with itself where it has none."""
    codes = groups.indices.to_numpy()
    first = np.unique(codes, return_index=True)[1][codes]
    empty = np.array([name == "" for name in groups.dictionary.to_pylist()], bool)
    rows = np.arange(len(codes))
    return np.stack([np.where(empty[codes], rows, first), rows], axis=1)


def _sequences(names: Sequence[str], bits: Bits) -> Indices:
    """Neighbours by file name whose content confirms that they are of one scene.

    Neighbours are joined within the largest distance, of at most `SEQUENCE_DISTANCE`, at which no
    more than `MAX_CHANCE` of those joined would be by chance, as pairs half the list apart tell: of
    pictures by one fixed camera, all pairs are alike, and that neighbours are says nothing.

    Args:
        names: [images], of the files.
        bits: [images, 4], their perceptual hashes.

    Returns:
        [pairs, 2], indices of images.

    """
    pairs = np.array(list(_neighbours(names)), np.int64).reshape(-1, 2)
    order = np.array(sorted(range(len(names)), key=lambda row: place_of(names[row])), np.int64)
    steps = [step for step in range(len(names) // 2 - 2, len(names) // 2 + 3) if step > 1]
    if not len(pairs) or not steps:
        return pairs[:0]
    near = _distances(bits, pairs)
    apart = [np.stack([order, np.roll(order, step)], axis=1) for step in steps]
    far = _distances(bits, np.concatenate(apart))
    limits = np.arange(SEQUENCE_DISTANCE + 1)
    joined = (near[:, None] <= limits).mean(axis=0)
    # One more than there are, for that there is none among so few is no proof.
    by_chance = ((far[:, None] <= limits).sum(axis=0) + 1) / len(far)
    sure = np.flatnonzero(by_chance <= MAX_CHANCE * joined)
    return pairs[near <= sure[-1]] if len(sure) else pairs[:0]


def _distances(bits: Bits, pairs: Indices) -> Indices:
    differing = np.bitwise_count(bits[pairs[:, 0]] ^ bits[pairs[:, 1]])
    return np.asarray(differing.sum(axis=1, dtype=np.int64), np.int64)


def place_of(name: str) -> tuple[str, int]:
    """What a file's name says of its place in a sequence.

    Args:
        name: of the file, also a path.

    Returns:
        All but its last number, and that number; the name and -1 where it has none.

    >>> place_of("2026/cam1_000123.png")
    ('2026/cam1_#.png', 123)

    """
    path = PurePath(name)
    found = re.search(r"\d+(?=\D*$)", path.stem)
    if not found:
        return name, -1
    stem = f"{path.stem[: found.start()]}#{path.stem[found.end() :]}{path.suffix}"
    return str(path.with_name(stem)), int(found.group())


def _neighbours(names: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs of images whose names are alike but for their last number, by which they follow."""
    places = [place_of(name) for name in names]
    numbered = sorted((place, row) for row, place in enumerate(places) if place[1] >= 0)
    for (before, row), (after, other) in pairwise(numbered):
        if before[0] == after[0]:
            yield row, other
