"""Near-duplicate images, by the Hamming distance of their perceptual hashes."""

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

NEAR_DISTANCE = 31
"""The most of 256 bits in which near duplicates differ: a measured border, which refocused and
re-encoded twins stay within."""

_PAIRS_AT_ONCE = 500_000  # bounds the memory

Bits = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]


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
    """The nearest of other hashes for each.

    Args:
        bits: [n, 4], as `hash_bits` gives them.
        others: [m, 4], at least one where there are `bits`.

    Returns:
        Indices into `others`, [n], and the distances in bits, [n].

    >>> few, many = hash_bits(["0f" * 32]), hash_bits(["00" * 32, "0e" * 32])
    >>> [found.tolist() for found in nearest(few, many)]
    [[1], [32]]

    """
    indices, distances = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for _, block in _distances(bits, others):
        indices.append(block.argmin(axis=1))
        distances.append(block.min(axis=1))
    return np.concatenate(indices), np.concatenate(distances)


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

    All pairs are looked at, in blocks: time grows with the square of the different hashes.

    Args:
        bits: [n, 4], as `hash_bits` gives them.

    Returns:
        [n], a number below n for each, the same for those that are joined.

    >>> near_components(hash_bits(["00" * 32, "ff" * 32, "01" + "00" * 31])).tolist()
    [0, 2, 0]

    """
    unique, inverse = np.unique(bits, axis=0, return_inverse=True)
    count = len(unique)
    component = np.arange(count)
    blocks = chain(_distances(unique, unique), _distances(unique, mirrored(unique)))
    for start, block in blocks:
        rows, columns = np.nonzero(block <= NEAR_DISTANCE)
        left = np.concatenate([rows + start, np.arange(count)])
        right = np.concatenate([columns, component])
        edges = coo_matrix((np.ones(len(left), bool), (left, right)), (count, count))
        component = connected_components(edges, directed=False)[1]
        # The number of a component is one of its members, for the next block's edges.
        component = np.unique(component, return_index=True)[1][component]
    return np.asarray(component[inverse.reshape(-1)], np.int64)


def _distances(bits: Bits, others: Bits) -> Iterator[tuple[int, npt.NDArray[np.int16]]]:
    """(first row, distances [rows, others]) in blocks of bounded size."""
    rows = max(1, _PAIRS_AT_ONCE // max(1, len(others)))
    for start in range(0, len(bits), rows):
        block = bits[start : start + rows]
        distances = np.zeros((len(block), len(others)), np.int16)
        for word in range(bits.shape[1]):
            distances += np.bitwise_count(block[:, word, None] ^ others[None, :, word])
        yield start, distances
