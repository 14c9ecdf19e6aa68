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
import pyarrow as pa
from PIL import Image, UnidentifiedImageError

from classlift.data.media import file_of, read_bytes
from classlift.errors import DataError
from classlift.paths import State, state

MAX_PIXELS = 50_000_000
"""Larger images are refused before decoding: 150 MB of RGB, beyond any detector's input."""

FORMATS = {
    "JPEG": "jpeg",
    "MPO": "jpeg",  # several JPEGs in one file, of which the first counts
    "PNG": "png",
    "BMP": "bmp",
    "GIF": "gif",
    "WEBP": "webp",
    "TIFF": "tiff",
    "AVIF": "avif",
}
"""The formats of images that are read, by Pillow's name. Of several pictures in one file, such as
an animation's, the first counts."""

SUFFIXES = {
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "png": (".png",),
    "bmp": (".bmp", ".dib"),
    "gif": (".gif",),
    "webp": (".webp",),
    "tiff": (".tif", ".tiff"),
    "avif": (".avif",),
}
"""What files of a format are called; the first is what is added where a name has none."""

IMAGE_SUFFIXES = frozenset(
    {suffix for suffixes in SUFFIXES.values() for suffix in suffixes}
    | {".heic", ".heif", ".jp2", ".jpeg2000", ".jxl", ".dng", ".ppm", ".pgm", ".pfm", ".tga"}
)
"""What image files are called, also those that can't be read: they are named, and not passed by."""

FOR_TENSORFLOW = ("jpeg", "png")
"""What TensorFlow decodes into RGB; others are encoded anew, see `for_tensorflow`."""

JPEG_QUALITY = 95
_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}  # and 16 bits

PHASH_SIDE = 16  # 256 bits: the near-duplicate distance (31 bits) is for these
_PHASH_IMAGE = 4 * PHASH_SIDE  # the side of the picture that imagehash's phash looks at
_ORIENTATION = 0x0112  # Exif 2.32, table 4
UPRIGHT = 1
LYING = (5, 6, 7, 8)
"""Exif's orientations in which width and height change places."""

ABSENT = "image file is there"
"""The rule that an image breaks which labels name, and whose file is missing."""

ENCODED_ANEW = "image is JPEG or PNG, as models read them; others are encoded anew for training"
"""What is said of an image that is neither."""

TURNED = "image is stored as its labels see it"
"""The rule that an image breaks whose labels are for the view that Exif turns it to."""

_AT_ONCE = 16  # images that a thread takes: a hand-over costs as much as a tenth of an image
_THREADS = min(8, os.cpu_count() or 1)  # reading, hashing and decoding release the GIL

READABLE = "format is JPEG, PNG, BMP, GIF, WebP, TIFF or AVIF"

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

    Attributes:
        width: of the stored pixels, 0 when they can't be told.
        height: as `width`.
        format: a value of `FORMATS`, or empty.
        orientation: Exif's, `UPRIGHT` when there is none.
        problem: a rule and its value, or empty.

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
    """Looks at image files, in threads: their state, and what is in them.

    Args:
        uris: of the images, as `media.read_bytes` takes them.
        known: from an earlier look, by URI. A file of the same state is not read again, and one
            with the same bytes not decoded.

    Returns:
        State and facts of each, in the order of `uris`.

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

    The lowest 16 x 16 frequencies of the DCT-II against their median (Zauner, Implementation and
    benchmarking of perceptual image hash functions, 2010).

    Args:
        pixels: [n, 64, 64], grey levels.

    Returns:
        [n] hashes of 256 bits, hexadecimal.

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
        is_there = os.path.lexists(file)
        problem = f"{ABSENT}: there is no such file"
        problem = "file can be read: it is no regular file" if is_there else problem
        return found, _unknown("", problem), None
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
                problem = f"{READABLE}: it is {image.format}"
            elif not (image.mode in _MODES or image.mode.startswith("I;16")):
                problem = f"image has whole numbers of 8 or 16 bits: its mode is {image.mode}"
            elif width * height > MAX_PIXELS:
                problem = f"image has at most {MAX_PIXELS:,} pixels: it has {width}x{height}"
            else:
                turned = _orientation(image)
                # A JPEG is read whole, and decoded no larger than the hash needs.
                image.draft("L", (_PHASH_IMAGE, _PHASH_IMAGE))
                pixels = _grey(image)
                return ImageFacts(sha256, width, height, image_format, turned, "", ""), pixels
    except UnidentifiedImageError:
        problem = "image can be decoded: " + _unidentified(data)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        problem = f"image has at most {MAX_PIXELS:,} pixels: it declares more"
    except UNREADABLE as error:
        problem = f"image can be decoded whole: {error}"
    return _unknown(sha256, problem, width, height), None


def size_of_image(file: BinaryIO) -> tuple[int, int]:
    """The size of an image from its header, as a viewer shows it, which turns it as its Exif says.

    Args:
        file: at its beginning.

    Returns:
        Width and height in pixels; 0, 0 of what is no image.

    """
    try:
        with Image.open(file) as image:
            return turned_size(*image.size, _orientation(image))
    except UNREADABLE:
        return 0, 0


def turned_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """The size of stored pixels as a viewer shows them.

    Args:
        width: of the stored pixels.
        height: as `width`.
        orientation: Exif's, 1 to 8.

    Returns:
        Width and height in pixels.

    >>> turned_size(4, 3, 1), turned_size(4, 3, 6)
    ((4, 3), (3, 4))

    """
    return (height, width) if orientation in LYING else (width, height)


def _unidentified(data: bytes) -> str:
    """What is said of bytes that Pillow does not know."""
    if not data:
        return "it is empty"
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc"):
        return "it is HEIC; save it as JPEG or PNG"
    beginning = data[:1000].decode("utf-8", "replace").lower()
    if "<html" in beginning or beginning.lstrip().startswith("<!doctype html"):
        return "it is a page of HTML, which a download gave instead; download it again"
    return "it is no image that Pillow knows"


def for_tensorflow(encoded: bytes, image_format: str, uri: str) -> tuple[bytes, str]:
    """An encoded image as TensorFlow decodes it.

    JPEG and PNG stay as they are. Others are encoded anew: what is lossy itself as JPEG, what is
    not as PNG, without loss. No Exif stays, which says how stored pixels are turned.

    Args:
        encoded: the bytes of its file.
        image_format: a value of `FORMATS`.
        uri: of the image, for errors.

    Returns:
        The bytes, and their format, `jpeg` or `png`.

    Raises:
        DataError: it can't be decoded, or has more than `MAX_PIXELS`.

    """
    if image_format in FOR_TENSORFLOW:
        return encoded, image_format
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(f"{uri}: the image has more than {MAX_PIXELS:,} pixels.")
            kind = "jpeg" if _is_lossy(image, encoded) else "png"
            pixels = eight_bit(image).convert("RGB")
    except UNREADABLE as error:
        raise DataError(f"{uri}: the image can't be decoded ({error}).") from error
    return encode(pixels, kind), kind


def encoded_for_tensorflow(images: pa.Table) -> list[bytes]:
    """Reads images, and encodes them as `for_tensorflow` does.

    Args:
        images: rows of `schema.IMAGES`.

    Returns:
        The bytes of each, in the order of the rows.

    Raises:
        DataError: one can't be read or decoded.

    """
    rows = zip(images["uri"].to_pylist(), images["format"].to_pylist(), strict=True)
    return [for_tensorflow(read_bytes(uri), image_format, uri)[0] for uri, image_format in rows]


def encode(pixels: Image.Image, image_format: str) -> bytes:
    """An RGB picture as `jpeg`, with hardly a loss, or as `png`, with none."""
    buffer = io.BytesIO()
    if image_format == "jpeg":
        pixels.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    else:
        pixels.save(buffer, "PNG")
    return buffer.getvalue()


def _is_lossy(image: Image.Image, encoded: bytes) -> bool:
    if image.format == "WEBP":  # the chunk of a lossless picture is called VP8L
        return b"VP8L" not in encoded[:4096]
    if image.format == "TIFF":
        return image.info.get("compression") in ("jpeg", "tiff_jpeg", "webp")
    return image.format == "AVIF"


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
        found = int(image.getexif().get(_ORIENTATION, UPRIGHT))
        return found if found in range(1, 9) else UPRIGHT  # cameras write 0 for none
    except (SyntaxError, ValueError, TypeError, OSError, struct.error):  # damaged Exif: no claim
        return UPRIGHT
