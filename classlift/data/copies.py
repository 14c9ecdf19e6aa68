"""Images that are one picture: saved anew, in another size, mirrored, or cropped out of it.

Candidates come from what the pictures have in common: perceptual hashes as they are and mirrored,
and local features, which are looked up and not compared pair by pair. Each candidate is then laid
over the other and compared pixel by pixel: a copy differs by what compression and scaling do, in no
place by more; the next frame of a video, or the next photograph of a series, does.
"""

import io
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from classlift.data.duplicates import hash_bits, mirrored, nearest_twins
from classlift.data.features import Features, Pixels, features_of, lay_over, most_alike
from classlift.data.images import UNREADABLE, eight_bit
from classlift.data.media import read_bytes
from classlift.data.units import SEQUENCE_DISTANCE, place_of
from classlift.errors import DataError

MAX_DIFFERENCE = 5.0
"""In the square where two pictures differ most: the mean difference, in percent of the range over
which most of a picture lies (four standard deviations). Measured on 40 images each of three data
sets, saved at quality 30, halved, mirrored, and cropped to 95 to 60% of their sides: copies differ
by at most 3.2. Photographs taken one after the other (cards) differ by 7.9 and more."""

_SIDE = 256  # of the pictures that are compared
_HASH_DISTANCE = 48  # of 256 bits; of candidates, which are then looked at
_PLAIN = 4.0  # grey levels: what deviates less shows nothing to compare
_SQUARE = 16
_COVERED = 0.9  # of the smaller picture
_IMAGES_AT_ONCE = 4000  # whose features are held; each time those of all originals are sorted

Floats = npt.NDArray[np.float64]


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


FindCopies = Callable[[Sequence[Picture], Sequence[Picture]], list[Copy]]
"""`find_copies`, or what remembers it."""


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
    videos = _videos(originals)
    bits = hash_bits([picture.phash for picture in images])
    others = hash_bits([picture.phash for picture in originals])
    near = np.stack(
        [nearest_twins(asked, others, _HASH_DISTANCE)[0] for asked in (bits, mirrored(bits))], 1
    ).tolist()
    copies = []
    with ThreadPoolExecutor() as pool:
        known = list(pool.map(lambda picture: features_of(_small(picture)), originals))
        for start in range(0, len(images), _IMAGES_AT_ONCE):
            some = images[start : start + _IMAGES_AT_ONCE]
            held = list(pool.map(_both_ways, some))
            alike = [most_alike([ways[way] for ways in held], known) for way in (0, 1)]
            ways = [
                _ways(nearest, candidates, features, known)
                for nearest, candidates, features in zip(
                    near[start : start + len(some)], zip(*alike, strict=True), held, strict=True
                )
            ]
            found = pool.map(partial(_copy_of, originals=originals, videos=videos), some, ways)
            copies += [copy for copy in found if copy is not None]
    return copies


def _both_ways(picture: Picture) -> tuple[Features, Features]:
    """The features of a picture, and of its mirror image."""
    small = _small(picture)
    flipped = None if small is None else np.ascontiguousarray(small[:, ::-1])
    return features_of(small), features_of(flipped)


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


def _copy_of(
    image: Picture,
    ways: Iterator[tuple[int, bool, Floats | None]],
    originals: Sequence[Picture],
    videos: set[str],
) -> Copy | None:
    """The copy that an image is of one of the originals.

    Args:
        image: that may be one.
        ways: to lay originals over the image, by `_ways`.
        originals: all of them.
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
    near: Sequence[int],
    alike: Sequence[Sequence[int]],
    features: Sequence[Features],
    known: Sequence[Features],
) -> Iterator[tuple[int, bool, Floats | None]]:
    """How originals may lie over an image.

    Args:
        near: the nearest by hash, for the image as it is and mirrored, -1 for none; it is laid over
            it as a whole.
        alike: those with common features, which say how they lie, for both.
        features: of the image, for both.
        known: those of all originals.

    Yields:
        The index of an original, whether the image is mirrored, and the affine map [2, 3] from the
        original to it in pixels; None for the whole.

    """
    for flipped in (False, True):
        if near[flipped] >= 0:
            yield near[flipped], flipped, None
        for number in alike[flipped]:
            way = lay_over(known[number], features[flipped])
            if way is not None:
                yield number, flipped, way


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
