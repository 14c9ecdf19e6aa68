"""Near-duplicate images, by the Hamming distance of their perceptual hashes.

All pairs of a million hashes are 10^12, so most are never looked at. The bits of a hash are dealt
into chunks: hashes that are near differ in a bit or two of some chunk, for the bits that differ are
too few for three in each (multi-index hashing; Norouzi, Punjani, Fleet: Fast exact search in
Hamming space with multi-index hashing, 2014). What is found so is exactly what all pairs show.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from classlift.data.components import components

NEAR_DISTANCE = 31
"""The most of 256 bits in which near duplicates differ: a measured border, which refocused and
re-encoded twins stay within."""

_BITS = 256
_IN_CHUNK = 2  # bits that may differ in a chunk: its neighbours are a few hundred
_PAIRS_AT_ONCE = 500_000  # bounds the memory
_FEW = 50_000_000  # pairs that are compared in the time that the chunks take
_WORTH = 1.0  # of all pairs, how many the chunks may show before all are looked at instead

Bits = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]
Pairs = tuple[Indices, Indices, npt.NDArray[np.int64]]
"""Indices on the left and on the right, and the distances in bits."""


def hash_bits(phashes: Sequence[str]) -> Bits:
    """Perceptual hashes as words of 64 bits, which are compared fast.

    Args:
        phashes: of 256 bits, hexadecimal.

    Returns:
        [n, 4].

    >>> hash_bits(["00" * 31 + "ff"]).shape
    (1, 4)

    """
    return np.frombuffer(bytes.fromhex("".join(phashes)), np.uint64).reshape(-1, 4)


def nearest(bits: Bits, others: Bits) -> tuple[Indices, Indices]:
    """The nearest of other hashes for each, however far it is; all pairs are looked at.

    Args:
        bits: [n, 4], as `hash_bits` gives them.
        others: [m, 4], at least one where there are `bits`.

    Returns:
        Indices into `others`, [n], the first of equally near ones; and the distances in bits, [n].

    >>> few, many = hash_bits(["0f" * 32]), hash_bits(["00" * 32, "0e" * 32])
    >>> [found.tolist() for found in nearest(few, many)]
    [[1], [32]]

    """
    indices, distances = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for _, block in _distances(bits, others):
        indices.append(block.argmin(axis=1))
        distances.append(block.min(axis=1))
    return np.concatenate(indices), np.concatenate(distances)


def nearest_twins(bits: Bits, others: Bits, within: int = NEAR_DISTANCE) -> tuple[Indices, Indices]:
    """The nearest of the near duplicates that each has among other hashes.

    Args:
        bits: [n, 4], as `hash_bits` gives them.
        others: [m, 4].
        within: the most bits in which they differ.

    Returns:
        Indices into `others`, [n], the first of equally near ones, -1 where none is near; and the
        distances in bits, [n], of those that have one.

    >>> few, many = hash_bits(["0f" * 32, "01" * 32]), hash_bits(["f0" * 32, "1f" + "0f" * 31])
    >>> nearest_twins(few, many)[0].tolist()
    [1, -1]

    """
    unique, first = np.unique(others, axis=0, return_index=True)
    count = max(1, len(others))
    best = np.full(len(bits), (within + 1) * count)
    for left, right, distance in _near_pairs(bits, unique, within):
        # The distance, and then the place, in one number.
        np.minimum.at(best, left, distance * count + first[right])
    distances, places = np.divmod(best, count)
    return np.where(distances <= within, places, -1), distances


def mirrored(bits: Bits) -> Bits:
    """The hashes of the mirrored pictures, but for bits that are near the median.

    Where a picture is mirrored, the cosines of odd horizontal frequency change their sign.

    Args:
        bits: [n, 4], of 256 bits each, row by row.

    Returns:
        [n, 4].

    """
    is_odd = np.tile(np.arange(16) % 2 == 1, 16)
    return bits ^ np.packbits(is_odd).view(np.uint64)


def near_components(bits: Bits) -> Indices:
    """Which pictures a chain of near duplicates joins; a mirrored one is a near duplicate too.

    Args:
        bits: [n, 4], as `hash_bits` gives them.

    Returns:
        [n], a number below n for each, the same for those that are joined.

    >>> near_components(hash_bits(["00" * 32, "ff" * 32, "01" + "00" * 31])).tolist()
    [0, 2, 0]

    """
    unique, inverse = np.unique(bits, axis=0, return_inverse=True)
    joined = _Joined(len(unique))
    for others in (unique, mirrored(unique)):
        for left, right, _ in _near_pairs(unique, others, NEAR_DISTANCE, joined):
            joined.add(left, right)
    joined.merge()
    return np.asarray(joined.component[inverse.reshape(-1)], np.int64)


class _Joined:
    """What edges join, of a number of nodes.

    Args:
        count: of the nodes.

    Attributes:
        component: [count], a node of its component for each, as of the last merge.

    """

    def __init__(self, count: int) -> None:
        self.component = np.arange(count)
        self._edges: list[tuple[Indices, Indices]] = []
        self._waiting = 0

    def add(self, left: Indices, right: Indices) -> None:
        """Adds edges, which count from the next merge on: one takes as long as all nodes do."""
        self._edges.append((left, right))
        self._waiting += len(left)
        if self._waiting > len(self.component) // 8:
            self.merge()

    def merge(self) -> None:
        """Makes `component` anew, with all edges."""
        count = len(self.component)
        self._edges.append((np.arange(count), self.component))
        left, right = (np.concatenate(side) for side in zip(*self._edges, strict=True))
        self._edges, self._waiting = [], 0
        found = components(count, left, right)
        self.component = np.unique(found, return_index=True)[1][found]


def _near_pairs(
    bits: Bits, others: Bits, within: int, joined: _Joined | None = None
) -> Iterator[Pairs]:
    """Pairs of hashes that differ in few bits, in blocks of bounded size.

    Args:
        bits: [n, 4], those on the left.
        others: [m, 4], those on the right.
        within: the most bits in which they differ.
        joined: of the same nodes on both sides: leaves out pairs that are joined already, and those
            whose left is not before their right, for their reverse is as near.

    Yields:
        Each pair at least once, but for what `joined` leaves out.

    """
    pairs = len(bits) * len(others)
    budget = pairs * _WORTH
    if pairs > _FEW:
        chunks = within // (_IN_CHUNK + 1) + 1
        for chunk in range(chunks):
            dealt = range(chunk, _BITS, chunks)
            for left, right in _alike_in(dealt, bits, others, joined):
                budget -= len(left)
                if joined:
                    component = joined.component
                    new = (left < right) & (component[left] != component[right])
                    left, right = left[new], right[new]
                counts = np.bitwise_count(bits[left] ^ others[right]).astype(np.int64)
                distance = counts[:, 0] + counts[:, 1] + counts[:, 2] + counts[:, 3]
                near = distance <= within
                yield left[near], right[near], distance[near]
                if budget < 0:  # so alike are they all that it is faster to look at all pairs
                    break
            if budget < 0:
                break
        else:
            return
    for start, block in _distances(bits, others):
        left, right = np.nonzero(block <= within)
        yield left + start, right, block[left, right].astype(np.int64)


def _alike_in(
    chunk: range, bits: Bits, others: Bits, joined: _Joined | None
) -> Iterator[tuple[Indices, Indices]]:
    """Pairs of hashes that differ in at most `_IN_CHUNK` bits of a chunk, in blocks."""
    left, right = (_values(side, chunk) for side in (bits, others))
    left_order, right_order = (np.argsort(side, kind="stable") for side in (left, right))
    values, starts, sizes = np.unique(right[right_order], return_index=True, return_counts=True)
    bucket_of = np.full(1 << len(chunk), -1, np.int32)
    bucket_of[values] = np.arange(len(values))
    left = left[left_order]  # in their order, neighbours look where neighbours looked
    waiting, count = [], 0
    for differing in _masks(len(chunk)):
        bucket = bucket_of[left ^ differing]
        rows = np.flatnonzero(bucket >= 0)
        waiting.append((left_order[rows], bucket[rows]))
        count += int(sizes[bucket[rows]].sum())
        if count > _PAIRS_AT_ONCE:
            yield from _expanded(waiting, right_order, starts, sizes, joined)
            waiting, count = [], 0
    if waiting:
        yield from _expanded(waiting, right_order, starts, sizes, joined)


def _expanded(
    found: list[tuple[Indices, npt.NDArray[np.int32]]],
    order: Indices,
    starts: Indices,
    sizes: Indices,
    joined: _Joined | None,
) -> Iterator[tuple[Indices, Indices]]:
    """The pairs of rows on the left with all that is in their buckets on the right, in blocks."""
    rows, buckets = (np.concatenate(side) for side in zip(*found, strict=True))
    component = None
    while len(rows):
        if joined and component is not joined.component:  # others are joined since
            component = joined.component
            inside = component[order]
            lowest, highest = (f.reduceat(inside, starts) for f in (np.minimum, np.maximum))
            own = component[rows]
            new = (lowest[buckets] != own) | (highest[buckets] != own)
            rows, buckets = rows[new], buckets[new]
        ends = np.cumsum(sizes[buckets])
        some = max(1, int(np.searchsorted(ends, _PAIRS_AT_ONCE, "right")))
        of_row = sizes[buckets[:some]]
        within = np.arange(of_row.sum()) - np.repeat(ends[:some] - of_row, of_row)
        yield (
            np.repeat(rows[:some], of_row),
            order[np.repeat(starts[buckets[:some]], of_row) + within],
        )
        rows, buckets = rows[some:], buckets[some:]


def _values(bits: Bits, chunk: range) -> npt.NDArray[np.uint32]:
    """[n], the bits of a chunk as a number; they are dealt, so that neighbours are apart."""
    in_bytes = bits.view(np.uint8)
    value: npt.NDArray[np.uint32] = np.zeros(len(bits), np.uint32)
    for bit in chunk:
        is_set = in_bytes[:, bit // 8] >> (bit % 8) & 1
        value = np.bitwise_or(value << 1, is_set, dtype=np.uint32)
    return value


def _masks(width: int) -> Iterator[np.uint32]:
    """All numbers of `width` bits of which at most `_IN_CHUNK` are set."""
    for count in range(_IN_CHUNK + 1):
        for bits in combinations(range(width), count):
            yield np.uint32(sum(1 << bit for bit in bits))


def _distances(bits: Bits, others: Bits) -> Iterator[tuple[int, npt.NDArray[np.int16]]]:
    """(first row, distances [rows, others]) in blocks of bounded size."""
    rows = max(1, _PAIRS_AT_ONCE // max(1, len(others)))
    for start in range(0, len(bits), rows):
        block = bits[start : start + rows]
        distances = np.zeros((len(block), len(others)), np.int16)
        for word in range(bits.shape[1]):
            distances += np.bitwise_count(block[:, word, None] ^ others[None, :, word])
        yield start, distances
