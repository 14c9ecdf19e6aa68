"""Looking at image files: bounded, whole, and never trusted."""

import hashlib
import io
import os
import struct
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from classlift.data.media import file_of, read_bytes
from classlift.errors import DataError
from classlift.paths import State, state

MAX_PIXELS = 50_000_000
"""Larger images are refused before decoding: 150 MB of RGB, beyond any detector's input."""

FORMATS = {"JPEG": "jpeg", "MPO": "jpeg", "PNG": "png"}
"""What TensorFlow decodes into RGB, by Pillow's name; of an MPO it takes the first picture."""

PHASH_SIDE = 16  # 256 bits: the near-duplicate distance (31 bits) is for these
_PHASH_IMAGE = 4 * PHASH_SIDE  # the side of the picture that imagehash's phash looks at
_ORIENTATION = 0x0112  # Exif 2.32, table 4
UPRIGHT = 1
TURNED = "image is stored as its labels see it"
"""The rule that an image breaks whose labels are for the view that Exif turns it to."""

_AT_ONCE = 16  # images that a thread takes: a hand-over costs as much as a tenth of an image
_THREADS = min(8, os.cpu_count() or 1)  # reading, hashing and decoding release the GIL

UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)
"""What Pillow raises for images that are none, are damaged, or are too large."""

Pixels = npt.NDArray[np.uint8]

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # MAX_PIXELS is lower


@dataclass(frozen=True)
class ImageFacts:
    """What the snapshot keeps of an image file.

    width, height: of the stored pixels, 0 when they can't be told; format: a value of `FORMATS`,
    or empty; orientation: Exif's, `UPRIGHT` when there is none; problem: a rule and its value, or
    empty.
    """

    sha256: str
    width: int
    height: int
    format: str
    orientation: int
    phash: str
    problem: str


Known = Mapping[str, tuple[State, ImageFacts]]


def probe(uri: str) -> ImageFacts:
    """Reads and decodes one image within bounds. Never raises for what it holds."""
    return probe_all([uri])[0][1]


def probe_all(uris: Sequence[str], known: Known | None = None) -> list[tuple[State, ImageFacts]]:
    """The state of each image's file, and what is in it.

    known: from an earlier look. A file of the same state is not read again, and one with the same
    bytes not decoded.
    """
    earlier = known or {}
    parts = [uris[start : start + _AT_ONCE] for start in range(0, len(uris), _AT_ONCE)]
    with ThreadPoolExecutor(_THREADS) as pool:
        done = pool.map(lambda part: [_look(uri, earlier.get(uri)) for uri in part], parts)
        looks = [look for part in done for look in part]
    pixels = [small for _, _, small in looks if small is not None]
    hashes = iter(perceptual_hashes(np.stack(pixels)) if pixels else ())
    return [
        (found, facts if small is None else replace(facts, phash=next(hashes)))
        for found, facts, small in looks
    ]


def perceptual_hashes(pixels: Pixels) -> list[str]:
    """What `imagehash.phash(image, hash_size=16)` says of each picture, all at once.

    pixels: [n, 64, 64] grey pictures. The lowest 16 x 16 frequencies of the DCT-II against their
    median (Zauner, Implementation and benchmarking of perceptual image hash functions, 2010).
    """
    index = np.arange(_PHASH_IMAGE)
    basis = np.cos(np.pi * np.outer(index[:PHASH_SIDE], 2 * index + 1) / (2 * _PHASH_IMAGE))
    low = basis @ pixels.astype(np.float64) @ basis.T
    bits = low > np.median(low, axis=(1, 2), keepdims=True)
    return [np.packbits(picture).tobytes().hex() for picture in bits.reshape(len(bits), -1)]


def _look(
    uri: str, earlier: tuple[State, ImageFacts] | None
) -> tuple[State, ImageFacts, Pixels | None]:
    file = file_of(uri)
    found = state(file)
    if earlier and earlier[0] == found:
        return found, earlier[1], None
    if not os.path.isfile(file):
        reason = "it is no regular file" if os.path.lexists(file) else "there is no such file"
        return found, _unknown("", f"file can be read: {reason}"), None
    try:
        data = read_bytes(uri)
    except DataError as error:
        what = "file" if file == uri else "record"
        return found, _unknown("", f"{what} can be read: {error}"), None
    sha256 = hashlib.sha256(data).hexdigest()
    if earlier and earlier[1].sha256 == sha256:
        return found, earlier[1], None
    facts, pixels = _decode(data, sha256)
    return found, facts, pixels


def _unknown(sha256: str, problem: str, width: int = 0, height: int = 0) -> ImageFacts:
    return ImageFacts(sha256, width, height, "", UPRIGHT, "", problem)


def _decode(data: bytes, sha256: str) -> tuple[ImageFacts, Pixels | None]:
    width = height = 0
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            image_format = FORMATS.get(image.format or "", "")
            if not image_format:
                problem = f"format is JPEG or PNG: it is {image.format}"
            elif width * height > MAX_PIXELS:
                problem = f"image has at most {MAX_PIXELS:,} pixels: it has {width}x{height}"
            else:
                turned = _orientation(image)
                # A JPEG is read whole, and decoded no larger than the hash needs.
                image.draft("L", (_PHASH_IMAGE, _PHASH_IMAGE))
                pixels = _grey(image)
                return ImageFacts(sha256, width, height, image_format, turned, "", ""), pixels
    except UnidentifiedImageError:
        problem = "image can be decoded: it is no image that Pillow knows"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        problem = f"image has at most {MAX_PIXELS:,} pixels: it declares more"
    except UNREADABLE as error:
        problem = f"image can be decoded whole: {error}"
    return _unknown(sha256, problem, width, height), None


def size_of_image(file: BinaryIO) -> tuple[int, int]:
    """Width and height in pixels from the header of an image; 0, 0 when there is none."""
    try:
        with Image.open(file) as image:
            return image.size
    except UNREADABLE:
        return 0, 0


def eight_bit(image: Image.Image) -> Image.Image:
    """16 bits scaled to 8, as TensorFlow does; Pillow would clip. Others as they are."""
    image.load()
    if not image.mode.startswith("I;16"):
        return image
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))


def decode_rgb(encoded: bytes) -> Image.Image:
    """The pixels of an image as they are stored. Raises one of `UNREADABLE`."""
    return eight_bit(Image.open(io.BytesIO(encoded))).convert("RGB")


def _grey(image: Image.Image) -> Pixels:
    size = (_PHASH_IMAGE, _PHASH_IMAGE)
    return np.asarray(eight_bit(image).convert("L").resize(size, Image.Resampling.LANCZOS))


def _orientation(image: Image.Image) -> int:
    if "exif" not in image.info:
        return UPRIGHT
    try:
        return int(image.getexif().get(_ORIENTATION, UPRIGHT))
    except (SyntaxError, ValueError, TypeError, OSError, struct.error):  # damaged Exif: no claim
        return UPRIGHT
