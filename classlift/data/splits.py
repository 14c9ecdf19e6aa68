"""Splits: what belongs together stays together, and what was placed stays where it is.

An image's split follows from its content, its group and the classes that it shows, never from its
place in a list.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from classlift.data.components import components
from classlift.data.duplicates import Bits, near_components, nearest
from classlift.data.schema import SPLITS

SHARES = (0.70, 0.15, 0.15)
"""Shares of the objects of each class that train, eval and test are to have."""

OPEN = -1
"""A split that is still to be found."""

HELD_OUT = -2
"""A split that is still to be found, and is not train."""

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Candidates:
    """Images to place, one an index.

    Attributes:
        keys: numbers that order them whatever their order here, such as the ranks of their SHA-256.
        groups: numbers, in the order of their names; images of one group are not parted.
        bits: perceptual hashes, see `hash_bits`; near duplicates are not parted either.
        counts: [images, classes], boxes of each class.
        splits: an index into `SPLITS` where the image's split is settled, else `OPEN` or
            `HELD_OUT`.

    """

    keys: Indices
    groups: Indices
    bits: Bits
    counts: Indices
    splits: Indices


def place(images: Candidates) -> tuple[Indices, Indices]:
    """Places images in splits, so that what belongs together stays together.

    A unit is what groups and near duplicates join. Where it has members whose split is settled,
    the others follow: the nearest of them, if those are on different sides. What is held out and
    a copy of an image of train goes to train too.

    Args:
        images: settled ones, and those to place.

    Returns:
        The split of each, [images], an index into `SPLITS`; and the index of the image whose group
        names its unit, [images].

    """
    unit = _units(images)
    first = np.full(unit.max(initial=-1) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, unit, images.keys)
    order = np.lexsort((images.keys, images.groups))[::-1]
    named = np.empty(len(first), np.int64)
    named[unit[order]] = order  # the last to be written is the first by group and key
    settled = np.zeros((len(first), len(SPLITS)), bool)
    has = images.splits >= 0
    settled[unit[has], images.splits[has]] = True
    sides = settled.sum(axis=1)
    fixed = np.full(len(first), OPEN)
    fixed[unit[images.splits == HELD_OUT]] = HELD_OUT
    fixed = np.where(sides == 1, settled.argmax(axis=1), fixed)
    fixed[sides > 1] = 0  # its members are settled one by one, below
    counts = np.zeros((len(first), images.counts.shape[1]), np.int64)
    np.add.at(counts, unit, images.counts)
    chosen = stratify(first, np.bincount(unit, minlength=len(first)), counts, fixed)
    splits = np.where(has, images.splits, chosen[unit])
    for number in np.flatnonzero(sides > 1):
        members = np.flatnonzero(unit == number)
        homes, strays = members[has[members]], members[~has[members]]
        if len(strays):
            near, _ = nearest(images.bits[strays], images.bits[homes])
            splits[strays] = images.splits[homes[near]]
    return splits, named[unit]


def _units(images: Candidates) -> Indices:
    """A number from 0 for each image: the same for what groups and near duplicates join."""
    count = len(images.keys)
    groups = np.unique(images.groups, return_inverse=True)[1]
    near = near_components(images.bits)  # numbers below `count`, as those of groups
    ends = np.concatenate([groups + count, near + 2 * count])  # a node for each group and twin set
    component = components(3 * count, np.tile(np.arange(count), 2), ends)[:count]
    return np.asarray(np.unique(component, return_inverse=True)[1], np.int64)


def stratify(
    keys: Sequence[Any] | Indices, sizes: Indices, counts: Indices, fixed: Indices
) -> Indices:
    """Splits of units so that each class comes close to `SHARES`, rarest class first.

    The order is that of iterative stratification (Sechidis, Tsoumakas, Vlahavas: On the
    stratification of multi-label data, 2011): classes from the rarest, each unit to the split that
    stays furthest below its share. A class whose units run out before each split has some gives
    its last ones to those without.

    Args:
        keys: [units], names that order them whatever their order here.
        sizes: [units], images in each.
        counts: [units, classes], boxes in each.
        fixed: [units], an index into `SPLITS`, `OPEN` or `HELD_OUT`.

    Returns:
        [units], indices into `SPLITS`; those that were fixed stay.

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

    allowed = np.ones((len(keys), len(SPLITS)), bool)
    allowed[fixed == HELD_OUT, 0] = False
    order = np.array(sorted(range(len(keys)), key=lambda unit: keys[unit]), np.int64)
    for label in np.argsort(counts.sum(axis=0), kind="stable"):
        waiting = [u for u in order if splits[u] < 0 and counts[u, label]]
        waiting.sort(key=lambda unit: -counts[unit, label])  # stable: equal ones stay by key
        for done, unit in enumerate(waiting):
            empty = np.flatnonzero((placed[:, label] == 0) & allowed[unit])
            if len(empty) > 0 and len(waiting) - done <= len(empty):
                put(unit, int(empty[0]))
            else:
                filled = (placed[:, label] + counts[unit, label]) / wanted[:, label]
                filled[~allowed[unit]] = np.inf
                put(unit, int(np.lexsort((images / wanted_images, filled))[0]))
    for unit in order:
        if splits[unit] < 0:
            filled = (images + sizes[unit]) / wanted_images
            filled[~allowed[unit]] = np.inf
            put(int(unit), int(np.argmin(filled)))
    return splits
