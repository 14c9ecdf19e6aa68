"""Splits: what belongs together stays together, and what was placed stays where it is.

An image's split follows from its content, its group and the classes that it shows, never from its
place in a list.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.dataset.duplicates import Bits, near_components, nearest
from components.dataset.schema import SPLITS

SHARES = (0.70, 0.15, 0.15)
"""Of each class that train, eval and test are to have."""

OPEN = -1
"""A split that is still to be found."""

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Candidates:
    """Images to place, one an index.

    keys: what orders them whatever their order here, such as their SHA-256. groups: names; images
    of one group are not parted. bits: perceptual hashes, see `hash_bits`; near duplicates are not
    parted either. counts: [images, classes], boxes of each class. splits: an index into `SPLITS`
    where the image's split is settled, else `OPEN`.
    """

    keys: Sequence[str]
    groups: Sequence[str]
    bits: Bits
    counts: Indices
    splits: Indices


def place(images: Candidates) -> tuple[Indices, list[str]]:
    """The split of each image, and the name of the unit that it is placed with.

    A unit is what groups and near duplicates join. Where it has members whose split is settled,
    the others follow: the nearest of them, if those are on different sides.
    """
    unit = _units(images)
    first = np.full(unit.max(initial=-1) + 1, "", object)
    names = first.copy()
    for index in sorted(range(len(unit)), key=lambda i: (images.groups[i], images.keys[i])):
        number = unit[index]
        names[number] = names[number] or images.groups[index]
        first[number] = min(first[number] or images.keys[index], images.keys[index])
    settled = np.zeros((len(first), len(SPLITS)), bool)
    has = images.splits != OPEN
    settled[unit[has], images.splits[has]] = True
    sides = settled.sum(axis=1)
    fixed = np.where(sides == 1, settled.argmax(axis=1), OPEN)
    fixed[sides > 1] = 0  # its members are settled one by one, below
    counts = np.zeros((len(first), images.counts.shape[1]), np.int64)
    np.add.at(counts, unit, images.counts)
    chosen = stratify(list(first), np.bincount(unit, minlength=len(first)), counts, fixed)
    splits = np.where(has, images.splits, chosen[unit])
    for number in np.flatnonzero(sides > 1):
        members = np.flatnonzero(unit == number)
        homes, strays = members[has[members]], members[~has[members]]
        if len(strays):
            near, _ = nearest(images.bits[strays], images.bits[homes])
            splits[strays] = images.splits[homes[near]]
    return splits, [str(names[number]) for number in unit]


def _units(images: Candidates) -> Indices:
    """A number from 0 for each image: the same for what groups and near duplicates join."""
    parent = np.arange(len(images.keys))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = int(parent[index])
        return index

    first_of: dict[object, int] = {}
    near = near_components(images.bits)
    for index, group in enumerate(images.groups):
        for label in (group, int(near[index])):
            parent[root(index)] = root(first_of.setdefault(label, index))
    return np.unique([root(i) for i in range(len(parent))], return_inverse=True)[1]


def stratify(keys: Sequence[str], sizes: Indices, counts: Indices, fixed: Indices) -> Indices:
    """Splits of units so that each class comes close to `SHARES`, rarest class first.

    keys: order-free names of the units; sizes: [units] images; counts: [units, classes] boxes;
    fixed: [units] an index into `SPLITS`, or `OPEN`.

    The order is that of iterative stratification (Sechidis, Tsoumakas, Vlahavas: On the
    stratification of multi-label data, 2011): classes from the rarest, each unit to the split that
    stays furthest below its share. A class whose units run out before each split has some gives
    its last ones to those without.

    >>> keys, ones = ["a", "b", "c"], np.ones(3, np.int64)
    >>> stratify(keys, ones, ones[:, None], np.full(3, OPEN)).tolist()
    [0, 1, 2]
    """
    splits = fixed.copy()
    shares = np.array(SHARES)
    wanted = np.maximum(shares[:, None] * counts.sum(axis=0), 1e-9)
    wanted_images = np.maximum(shares * sizes.sum(), 1e-9)
    placed, images = np.zeros_like(wanted), np.zeros(len(SPLITS))
    for split in range(len(SPLITS)):
        placed[split] = counts[fixed == split].sum(axis=0)
        images[split] = sizes[fixed == split].sum()

    def put(unit: int, split: int) -> None:
        splits[unit] = split
        placed[split] += counts[unit]
        images[split] += sizes[unit]

    order = np.array(sorted(range(len(keys)), key=lambda unit: keys[unit]), np.int64)
    for label in np.argsort(counts.sum(axis=0), kind="stable"):
        waiting = [u for u in order if splits[u] == OPEN and counts[u, label]]
        waiting.sort(key=lambda unit: -counts[unit, label])  # stable: equal ones stay by key
        for done, unit in enumerate(waiting):
            empty = np.flatnonzero(placed[:, label] == 0)
            if len(empty) > 0 and len(waiting) - done <= len(empty):
                put(unit, int(empty[0]))
            else:
                filled = (placed[:, label] + counts[unit, label]) / wanted[:, label]
                put(unit, int(np.lexsort((images / wanted_images, filled))[0]))
    for unit in order:
        if splits[unit] == OPEN:
            put(int(unit), int(np.argmin((images + sizes[unit]) / wanted_images)))
    return splits
