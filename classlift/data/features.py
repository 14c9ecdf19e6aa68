"""Local features of pictures (ORB; Rublee and others, 2011): which pictures share some, and where.

Features that are the same fall into the same cells of a hash (Indyk and Motwani, 1998), so that
time grows with the pictures and not with their pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

cv2.setNumThreads(1)  # the threads are ours, an image each

_FEATURES = 250
_TABLES = 8
_CELL = 20  # features of one cell; fuller ones tell nothing
_CANDIDATES = 4  # of each image, that are laid over it
_LEAST_VOTES = 10
_ALIKE = 56  # of 256 bits, of features that may be the same
_LEAST_INLIERS = 8
_PICTURES_AT_ONCE = 1000  # bounds the memory

Pixels = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Cells = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Features:
    """Where a picture has features, and what they look like."""

    places: npt.NDArray[np.float32]  # [features, 2], x and y in pixels
    codes: Pixels  # [features, 32]


def features_of(picture: Pixels | None) -> Features:
    """The local features of a picture.

    Args:
        picture: [height, width], grey; None where there is nothing to see.

    Returns:
        Of about 250 features, or of none.

    """
    if picture is not None:
        # A detector a call, for one is not to be used by two threads.
        orb = cv2.ORB.create(_FEATURES, edgeThreshold=12, patchSize=24, fastThreshold=8)
        found, codes = orb.detectAndCompute(picture, None)
        if codes is not None:
            places = np.array([point.pt for point in found], np.float32)
            return Features(places, codes.astype(np.uint8))
    return Features(np.empty((0, 2), np.float32), np.empty((0, 32), np.uint8))


def most_alike(images: Sequence[Features], originals: Sequence[Features]) -> list[list[int]]:
    """The originals with which images share the most cells.

    A cell is the value of some bits of a feature's code; each of `_TABLES` tables takes others.

    Args:
        images: at least one. Their shares of cells are held at once, some 100 kB for each.
        originals: that are looked up, at least one.

    Returns:
        Indices of originals for each image, of the one that shares most first; the first of those
        that share as much.

    """
    count = sum(len(found.codes) for found in originals)
    if not count:
        return [[] for _ in images]
    width = max(12, int(np.ceil(np.log2(max(count, 2)))) + 1)
    rng = np.random.default_rng(0)
    owner, asking = (_owners(side) for side in (originals, images))
    pairs = [np.empty(0, np.int64)]
    for _ in range(_TABLES):
        bits = rng.choice(256, width, replace=False)
        asked, known = _same_cell(_cells(images, bits), _cells(originals, bits))
        pairs.append(asking[asked] * len(originals) + owner[known])
    pair, votes = np.unique(np.concatenate(pairs), return_counts=True)
    pair, votes = (column[votes >= _LEAST_VOTES] for column in (pair, votes))
    image, original = np.divmod(pair, len(originals))
    order = np.lexsort((original, -votes, image))
    of_image = np.split(original[order], np.searchsorted(image, np.arange(1, len(images))))
    return [found[:_CANDIDATES].tolist() for found in of_image]


def _owners(pictures: Sequence[Features]) -> Indices:
    """The picture of each feature."""
    return np.repeat(np.arange(len(pictures)), [len(found.codes) for found in pictures])


def _cells(pictures: Sequence[Features], bits: Indices) -> Cells:
    """[features], the values of some bits of the codes as numbers."""
    cells = [np.empty(0, np.uint32)]
    for start in range(0, len(pictures), _PICTURES_AT_ONCE):
        some = pictures[start : start + _PICTURES_AT_ONCE]
        codes = np.concatenate([found.codes for found in some])
        value: Cells = np.zeros(len(codes), np.uint32)
        for bit in bits:
            is_set = codes[:, bit // 8] >> np.uint8(7 - bit % 8) & 1
            value = np.bitwise_or(value << 1, is_set, dtype=np.uint32)
        cells.append(value)
    return np.concatenate(cells)


def _same_cell(asked: Cells, known: Cells) -> tuple[Indices, Indices]:
    """Pairs of features of one cell, but for full ones: those asked for, and those known."""
    order = np.argsort(known)
    values, first, count = np.unique(known[order], return_index=True, return_counts=True)
    count[count > _CELL] = 0
    in_order = np.argsort(asked)  # so that neighbours look where neighbours looked
    place = np.minimum(np.searchsorted(values, asked[in_order]), len(values) - 1)
    is_there = values[place] == asked[in_order]
    rows, place = in_order[is_there], place[is_there]
    sizes = count[place]
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.repeat(rows, sizes), order[np.repeat(first[place], sizes) + within]


def lay_over(original: Features, image: Features) -> Floats | None:
    """How a picture lies over another by the features that both have.

    Args:
        original: of the one.
        image: of the other.

    Returns:
        The affine map [2, 3] from the original to the image in pixels; None where too few features
        agree on one.

    """
    known, asked = same_features(original.codes, image.codes)
    if len(known) < _LEAST_INLIERS:
        return None
    way, inliers = cv2.estimateAffine2D(
        original.places[known],
        image.places[asked],
        method=cv2.RANSAC,
        ransacReprojThreshold=2.5,
        maxIters=300,
    )
    if way is None or int(inliers.sum()) < _LEAST_INLIERS:
        return None
    return np.asarray(way, np.float64)


def same_features(codes: Pixels, others: Pixels) -> tuple[Indices, Indices]:
    """Pairs of features that may be the same: each is the nearest of the other.

    What OpenCV's `BFMatcher` with `crossCheck` gives, in half of its time.

    Args:
        codes: [n, 32].
        others: [m, 32].

    Returns:
        Indices into both, [pairs], in the order of the first.

    """
    if min(len(codes), len(others)) < _LEAST_INLIERS:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    words, other_words = (np.ascontiguousarray(side).view(np.uint64) for side in (codes, others))
    distance = np.zeros((len(codes), len(others)), np.uint16)
    for word in range(words.shape[1]):
        distance += np.bitwise_count(words[:, word, None] ^ other_words[None, :, word])
    every = np.arange(len(codes))
    nearest = distance.argmin(axis=1)
    same = (distance.argmin(axis=0)[nearest] == every) & (distance[every, nearest] <= _ALIKE)
    return every[same], nearest[same]
