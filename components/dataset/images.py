"""Looking at image files: bounded, whole, and never trusted."""

import hashlib
import io
import warnings
from dataclasses import dataclass

import imagehash
from PIL import Image, UnidentifiedImageError

from components.dataset.media import read_bytes

MAX_PIXELS = 50_000_000
"""Larger images are refused before decoding: 150 MB of RGB, beyond any detector's input."""

FORMATS = {"JPEG": "jpeg", "PNG": "png"}
"""What TensorFlow decodes into RGB, by Pillow's name."""

PHASH_SIDE = 16  # 256 bits: the design's near-duplicate distance (31 bits) is for these


@dataclass(frozen=True)
class ImageFacts:
    """What the snapshot keeps of an image; `problem` is a rule and its value, or empty."""

    sha256: str
    width: int
    height: int
    format: str
    phash: str
    problem: str


def probe(uri: str) -> ImageFacts:
    """Reads and decodes one image within bounds. Never raises for what it holds.

    Width and height are 0 and the format is empty when they can't be told.
    """
    try:
        data = read_bytes(uri)
    except OSError as error:
        return ImageFacts("", 0, 0, "", "", f"file can be read: {error.strerror}")
    sha256 = hashlib.sha256(data).hexdigest()
    width = height = 0
    image_format = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                width, height = image.size
                image_format = FORMATS.get(image.format or "", "")
                if not image_format:
                    problem = f"format is JPEG or PNG: it is {image.format}"
                elif width * height > MAX_PIXELS:
                    problem = f"image has at most {MAX_PIXELS:,} pixels: it has {width}x{height}"
                else:
                    image.load()
                    phash = str(imagehash.phash(image, hash_size=PHASH_SIDE))
                    return ImageFacts(sha256, width, height, image_format, phash, "")
    except UnidentifiedImageError:
        problem = "image can be decoded: it is no image that Pillow knows"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        problem = f"image has at most {MAX_PIXELS:,} pixels: it declares more"
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # what Pillow's decoders raise
        problem = f"image can be decoded whole: {error}"
    return ImageFacts(sha256, width, height, image_format, "", problem)
