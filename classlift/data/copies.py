"""Images that are one picture: saved anew, in another size, mirrored, or cropped out of it.

Candidates come from what the pictures have in common: perceptual hashes as they are and mirrored,
and local features (ORB; Rublee and others, 2011) that fall into the same cells of a hash (Indyk and
Motwani, 1998), so that time grows with the images and not with their pairs. Each candidate is then
laid over the other and compared pixel by pixel: a copy differs by what compression and scaling do,
in no place by more; the next frame of a video, or the next photograph of a series, does.
"""

import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePath

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from classlift.data.duplicates import Bits, hash_bits, mirrored, nearest
from classlift.data.images import UNREADABLE, eight_bit
from classlift.data.media import read_bytes
from classlift.data.units import SEQUENCE_DISTANCE, place_of
from classlift.errors import DataError

cv2.setNumThreads(1)  # the threads are ours, an image each

MAX_DIFFERENCE = 5.0
"""In the square where two pictures differ most: the mean difference, in percent of the range over
which most of a picture lies (four standard deviations). Measured on 40 images each of three data
sets, saved at quality 30, halved, mirrored, and cropped to 95 to 60% of their sides: copies differ
by at most 3.2. Photographs taken one after the other (cards) differ by 7.9 and more."""

_SIDE = 256  # of the pictures that are compared
_FEATURES = 250
_TABLES = 8
_CELL = 20  # features of one cell; fuller ones tell nothing
_CANDIDATES = 4  # of each image, that are laid over it
_LEAST_VOTES = 10
_ALIKE = 56  # of 256 bits, of features that may be the same
_LEAST_INLIERS = 8
_HASH_DISTANCE = 48  # of 256 bits; of candidates, which are then looked at
_PLAIN = 4.0  # grey levels: what deviates less shows nothing to compare
_SQUARE = 16
_COVERED = 0.9  # of the smaller picture

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Picture:
    """An image as the search sees it: where it is, its size in pixels, and its perceptual hash."""

    name: str
    uri: str
    sha256: str
    width: int
    height: int
    phash: str


@dataclass(frozen=True)
class Copy:
    """A picture, the original that it is a copy of, how, and in percent how far they differ."""

    image: Picture
    original: Picture
    how: str
    difference: float


@dataclass(frozen=True)
class _Features:
    places: npt.NDArray[np.float32]  # [features, 2], x and y in pixels of the small picture
    codes: Pixels  # [features, 32]


def find_copies(images: Sequence[Picture], originals: Sequence[Picture]) -> list[Copy]:
    """Finds pictures that are copies of others.

    Images that can't be read, or that show nothing, are left out; so are files with the same bytes.
    Two frames of one video in which nothing moves are the same picture, and no copies: see
    `_videos`.

    Args:
        images: that may be copies.
        originals: that they may be copies of.

    Returns:
        Those of `images` that are copies, each with the first original that is found.

    """
    images = [picture for picture in images if picture.phash]
    originals = [picture for picture in originals if picture.phash]
    if not images or not originals:
        return []
    orb = _Orb()
    with ThreadPoolExecutor() as pool:
        known = list(pool.map(lambda p: orb.features(_small(p)), originals))
        held = list(pool.map(lambda p: _both_ways(orb, p), images))
        videos = _videos(originals)
        bits = hash_bits([picture.phash for picture in images])
        others = hash_bits([picture.phash for picture in originals])
        near = [_by_hash(asked, others) for asked in (bits, mirrored(bits))]
        alike = [_by_features([ways[way] for ways in held], known) for way in (0, 1)]

        def look(image: int) -> Copy | None:
            nearest_ones = [found[image] for found in near]
            candidates = [found[image] for found in alike]
            ways = _ways(nearest_ones, candidates, held[image], known)
            return _copy_of(images[image], originals, ways, videos)

        return [copy for copy in pool.map(look, range(len(images))) if copy is not None]


class _Orb:
    """Local features; a detector a call, for one is not to be used by two threads."""

    def features(self, picture: Pixels | None) -> _Features:
        nothing = _Features(np.empty((0, 2), np.float32), np.empty((0, 32), np.uint8))
        if picture is None:
            return nothing
        orb = cv2.ORB.create(_FEATURES, edgeThreshold=12, patchSize=24, fastThreshold=8)
        found, codes = orb.detectAndCompute(picture, None)
        if codes is None:
            return nothing
        places = np.array([point.pt for point in found], np.float32)
        return _Features(places, codes.astype(np.uint8))


def _both_ways(orb: _Orb, picture: Picture) -> tuple[_Features, _Features]:
    """The same for the picture and for its mirror image."""
    small = _small(picture)
    flipped = None if small is None else np.ascontiguousarray(small[:, ::-1])
    return orb.features(small), orb.features(flipped)


def _small(picture: Picture) -> Pixels | None:
    """Grey, at most `_SIDE` pixels wide and high; None where there is nothing to see."""
    try:
        with Image.open(io.BytesIO(read_bytes(picture.uri))) as image:
            image.draft("L", (_SIDE, _SIDE))  # a JPEG is decoded no larger than that
            grey = eight_bit(image).convert("L")
    except (*UNREADABLE, DataError):
        return None
    grey.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    pixels = np.asarray(grey)
    return pixels if pixels.std() > _PLAIN else None


def _by_hash(bits: Bits, others: Bits) -> list[int | None]:
    """For each the nearest of the others, if it is near."""
    found, distances = nearest(bits, others)
    near = distances <= _HASH_DISTANCE
    return [int(other) if is_near else None for other, is_near in zip(found, near, strict=True)]


def _by_features(images: Sequence[_Features], originals: Sequence[_Features]) -> list[list[int]]:
    """The originals with which images share the most cells.

    A cell is the value of some bits of a feature's code; each of `_TABLES` tables takes others.

    Returns:
        Indices of originals for each image, of the one that shares most first.

    """
    codes = np.concatenate([found.codes for found in originals])
    owners = np.repeat(np.arange(len(originals)), [len(found.codes) for found in originals])
    width = max(12, int(np.ceil(np.log2(max(len(codes), 2)))) + 1)
    rng = np.random.default_rng(0)
    tables = []
    for _ in range(_TABLES):
        bits = rng.choice(256, width, replace=False)
        cells = _cells(codes, bits)
        order = np.argsort(cells, kind="stable")
        tables.append((bits, cells[order], owners[order]))
    result = []
    for found in images:
        votes = np.zeros(len(originals), np.int64)
        for bits, cells, owner in tables:
            asked = _cells(found.codes, bits)
            first, last = (np.searchsorted(cells, asked, side) for side in ("left", "right"))
            count = np.where(last - first <= _CELL, last - first, 0)
            place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count - first, count)
            votes += np.bincount(owner[place], minlength=len(originals))
        best = np.argsort(-votes, kind="stable")[:_CANDIDATES]
        result.append([int(other) for other in best if votes[other] >= _LEAST_VOTES])
    return result


def _cells(codes: Pixels, bits: Indices) -> Indices:
    taken = (codes[:, bits // 8] >> (7 - bits % 8).astype(np.uint8)) & 1
    return np.asarray(taken.astype(np.int64) @ (1 << np.arange(len(bits), dtype=np.int64)))


def _copy_of(
    image: Picture,
    originals: Sequence[Picture],
    ways: Iterator[tuple[int, bool, Floats | None]],
    videos: set[str],
) -> Copy | None:
    """The copy that an image is of one of the originals.

    Args:
        image: that may be one.
        originals: all of them.
        ways: to lay some of them over the image, by `_ways`.
        videos: as `_videos` finds them in the originals.

    Returns:
        The first that differs by at most `MAX_DIFFERENCE`; None where none does.

    """
    small = None
    for number, flipped, way in ways:
        original = originals[number]
        other = None if image.sha256 == original.sha256 else _small(original)
        small = _small(image) if small is None else small
        if small is None or other is None:
            continue
        ours = np.ascontiguousarray(small[:, ::-1]) if flipped else small
        if way is None:
            scale = np.divide(ours.shape[::-1], other.shape[::-1])
            way = np.hstack([np.diag(scale), np.zeros((2, 1))])
        difference = _difference(ours, other, way)
        if difference <= MAX_DIFFERENCE:
            cropped = not _is_whole(way, ours, other)
            words = ["mirrored"] * flipped + ["cropped"] * cropped
            how = " and ".join(words) or "saved anew"
            copy = Copy(image, original, how, difference)
            if not _is_next_frame(copy, videos):
                return copy
    return None


def _ways(
    near: Sequence[int | None],
    alike: Sequence[Sequence[int]],
    features: Sequence[_Features],
    known: Sequence[_Features],
) -> Iterator[tuple[int, bool, Floats | None]]:
    """How originals may lie over an image.

    Args:
        near: the nearest by hash, for the image as it is and mirrored; it is laid over it as a
            whole.
        alike: those with common features, which say how they lie, for both.
        features: of the image, for both.
        known: those of all originals.

    Yields:
        The index of an original, whether the image is mirrored, and the affine map [2, 3] from the
        original to it in pixels; None for the whole.

    """
    for flipped in (False, True):
        nearest_one = near[flipped]
        if nearest_one is not None:
            yield nearest_one, flipped, None
        for number in alike[flipped]:
            way = _way_by_features(features[flipped], known[number])
            if way is not None:
                yield number, flipped, way


def _way_by_features(of_image: _Features, known: _Features) -> Floats | None:
    if min(len(of_image.codes), len(known.codes)) < _LEAST_INLIERS:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(known.codes, of_image.codes)
    pairs = [pair for pair in pairs if pair.distance <= _ALIKE]
    if len(pairs) < _LEAST_INLIERS:
        return None
    source = known.places[[pair.queryIdx for pair in pairs]]
    target = of_image.places[[pair.trainIdx for pair in pairs]]
    way, inliers = cv2.estimateAffine2D(
        source, target, method=cv2.RANSAC, ransacReprojThreshold=2.5, maxIters=300
    )
    if way is None or int(inliers.sum()) < _LEAST_INLIERS:
        return None
    return np.asarray(way, np.float64)


def _is_whole(way: Floats, small: Pixels, other: Pixels) -> bool:
    """Whether the corners of the original come to lie at those of the image."""
    height, width = other.shape
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], float)
    ends = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * small.shape[::-1]
    return bool(np.abs(corners @ way.T - ends).max() <= 0.02 * _SIDE)


def _difference(small: Pixels, other: Pixels, way: Floats) -> float:
    """How far two pictures differ in the square where they do most.

    The map is refined by the pixels (Evangelidis and Psarakis: Parametric image alignment using
    enhanced correlation coefficient maximization, 2008) where they differ by little more than
    copies do.

    Args:
        small: [height, width], grey levels of the image.
        other: as `small`, of the original.
        way: [2, 3], from the original to the image.

    Returns:
        The difference in percent; infinite where one can't be laid over the other.

    """
    if abs(np.linalg.det(way[:, :2])) < 1e-3:
        return float("inf")
    if np.linalg.det(way[:, :2]) * other.size < 0.95 * small.size:  # the original is the smaller
        small, other, way = other, small, _inverse(way)
    found = _laid_over(small, other, way)
    if MAX_DIFFERENCE < found < 6 * MAX_DIFFERENCE:
        start = _inverse(way).astype(np.float32)
        stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-5)
        everywhere = np.full_like(other, 255)
        try:
            _, better = cv2.findTransformECC(
                small, other, start, cv2.MOTION_AFFINE, stop, everywhere, 5
            )
        except cv2.error:  # it does not converge: they are not alike
            return found
        found = min(found, _laid_over(small, other, _inverse(np.asarray(better, np.float64))))
    return found


def _inverse(way: Floats) -> Floats:
    return np.asarray(cv2.invertAffineTransform(way), np.float64)


def _laid_over(small: Pixels, other: Pixels, way: Floats) -> float:
    size = small.shape[::-1]
    over = cv2.warpAffine(other, way, size, flags=cv2.INTER_LINEAR)
    covered = cv2.warpAffine(np.full_like(other, 255), way, size)
    inside = cv2.erode(covered, np.ones((7, 7), np.uint8)) > 250
    # The border that erosion takes is covered too.
    if (covered > 250).mean() < _COVERED or not inside.any():
        return float("inf")
    ours, theirs = (cv2.GaussianBlur(p.astype(np.float32), (0, 0), 2) for p in (small, over))
    x, y = theirs[inside], ours[inside]
    spread = max(float(y.std()), _PLAIN)
    gain = float(np.mean((x - x.mean()) * (y - y.mean())) / max(float(x.var()), 1e-6))
    difference = np.abs(ours - (gain * (theirs - x.mean()) + y.mean()))
    difference[~inside] = 0
    area = cv2.boxFilter(inside.astype(np.float32), -1, (_SQUARE, _SQUARE))
    mean = cv2.boxFilter(difference, -1, (_SQUARE, _SQUARE)) / np.maximum(area, 1e-6)
    return float(100 * mean[area > 0.5].max(initial=0) / (4 * spread))


def _videos(originals: Sequence[Picture]) -> set[str]:
    """Finds the originals that are numbered as the frames of a video.

    Where one in ten of those with numbers next to each other are alike, standing still is what the
    camera does, and a frame of another split that is the same picture is no copy.

    Returns:
        Their file names, but for their number.

    """
    numbered = defaultdict(list)
    for picture in originals:
        name, number = place_of(PurePath(picture.name).name)
        if number >= 0:
            numbered[name].append((number, picture.phash))
    result = set()
    for name, frames in numbered.items():
        bits = hash_bits([phash for _, phash in sorted(frames)])
        differing = np.bitwise_count(bits[1:] ^ bits[:-1]).sum(axis=1)
        if len(differing) >= 5 and np.mean(differing <= SEQUENCE_DISTANCE) >= 0.1:
            result.add(name)
    return result


def _is_next_frame(copy: Copy, videos: set[str]) -> bool:
    pair = copy.image, copy.original
    (name, number), (other, another) = (place_of(PurePath(p.name).name) for p in pair)
    sizes = {(picture.width, picture.height) for picture in pair}
    return (
        copy.how == "saved anew"
        and len(sizes) == 1
        and name == other
        and name in videos
        and number != another
    )
