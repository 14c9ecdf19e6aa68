"""Odd images that are legal: TensorFlow, which trains on them, sees what we see."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from classlift.data.images import FORMATS, decode_rgb, for_tensorflow

pytestmark = pytest.mark.pipeline
RAMP = np.add.outer(np.arange(60), np.arange(80))
RGB = Image.fromarray((RAMP[..., None] * [1, 1.2, 0.5]).astype(np.uint8))
GREY = RGB.convert("L")


@pytest.mark.parametrize(
    ("image", "kind", "options"),
    [
        (RGB, "JPEG", {}),
        (RGB, "JPEG", {"progressive": True}),
        (GREY, "JPEG", {}),
        (RGB.convert("CMYK"), "JPEG", {}),
        (RGB.convert("P"), "PNG", {}),
        (RGB.convert("P"), "PNG", {"transparency": 3}),
        (RGB.convert("RGBA"), "PNG", {}),
        (GREY.convert("LA"), "PNG", {}),
        (GREY.convert("1"), "PNG", {}),
        (Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257), "PNG", {}),  # 16 bits
    ],
)
def test_tensorflow_sees_the_same_pixels(image, kind, options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    theirs = tf.io.decode_image(buffer.getvalue(), channels=3, expand_animations=False).numpy()
    ours = np.asarray(decode_rgb(buffer.getvalue())).astype(int)
    assert np.abs(ours - theirs).max() <= (0 if kind == "PNG" else 8)  # their JPEG's DCT is coarser


@pytest.mark.parametrize("kind", ["BMP", "GIF", "WEBP", "TIFF", "AVIF"])
def test_tensorflow_sees_what_is_encoded_anew(kind):
    buffer = io.BytesIO()
    RGB.save(buffer, kind)
    encoded, _ = for_tensorflow(buffer.getvalue(), FORMATS[kind], "a")
    theirs = tf.io.decode_image(encoded, channels=3, expand_animations=False).numpy()
    ours = np.asarray(decode_rgb(buffer.getvalue())).astype(int)
    assert np.abs(ours - theirs).max() <= 8  # the JPEGs among them
