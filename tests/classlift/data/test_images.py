import io

import numpy as np
import pytest
from PIL import Image

from classlift.data.images import decode_rgb, for_tensorflow, probe
from classlift.errors import DataError

pytestmark = pytest.mark.unit


def picture(file_format: str, size: tuple[int, int] = (40, 30)) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(buffer, file_format)
    return buffer.getvalue()


@pytest.mark.parametrize(("file_format", "name"), [("JPEG", "jpeg"), ("PNG", "png")])
def test_whole_images_have_no_problem(tmp_path, file_format, name):
    path = tmp_path / "image"
    path.write_bytes(picture(file_format))
    facts = probe(str(path))
    assert (facts.problem, facts.format, facts.width, facts.height) == ("", name, 40, 30)
    assert len(facts.sha256) == 64
    assert len(facts.phash) == 64  # 256 bits


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (picture("JPEG")[:-200], "can be decoded whole"),  # truncated in its data
        (picture("JPEG")[:30], "can be decoded"),  # truncated in its header
        (b"", "can be decoded"),
        (b"<svg/>", "no image that Pillow knows"),
        (picture("JPEG2000"), "format is JPEG, PNG, BMP, GIF, WebP, TIFF or AVIF: it is JPEG2000"),
        (picture("TIFF")[:-300], "can be decoded whole"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "it is HEIC; save it as JPEG or PNG"),
        (picture("PNG")[:-30], "can be decoded whole"),
    ],
)
def test_names_the_problem(tmp_path, data, problem):
    path = tmp_path / "image"
    path.write_bytes(data)
    assert problem in probe(str(path)).problem


def test_a_bomb_is_not_decoded(tmp_path):
    path = tmp_path / "bomb.png"
    Image.new("1", (12_000, 12_000)).save(path)  # 144 megapixels in 18 KB
    assert "at most 50,000,000 pixels" in probe(str(path)).problem


def test_a_missing_file_is_a_problem(tmp_path):
    problem = probe(str(tmp_path / "none.jpg")).problem
    assert problem == "image file is there: there is no such file"


NOISE = Image.effect_noise((40, 30), 60).convert("RGB")
SIXTEEN = Image.fromarray(np.asarray(NOISE.convert("L")).astype(np.uint16) * 257)


def saved(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "name", "encoded_as"),
    [
        (saved(NOISE, "BMP"), "bmp", "png"),
        (saved(NOISE.convert("1"), "BMP"), "bmp", "png"),
        (saved(NOISE.convert("P"), "GIF"), "gif", "png"),
        (saved(NOISE, "WEBP", lossless=True), "webp", "png"),
        (saved(NOISE.convert("RGBA"), "WEBP", lossless=True), "webp", "png"),
        (saved(NOISE, "WEBP"), "webp", "jpeg"),
        (saved(NOISE, "TIFF"), "tiff", "png"),
        (saved(NOISE.convert("CMYK"), "TIFF"), "tiff", "png"),
        (saved(NOISE.convert("LA"), "TIFF"), "tiff", "png"),
        (saved(SIXTEEN, "TIFF"), "tiff", "png"),
        (saved(NOISE, "TIFF", compression="jpeg"), "tiff", "jpeg"),
        (saved(NOISE, "AVIF"), "avif", "jpeg"),
    ],
)
def test_other_formats_are_encoded_anew(tmp_path, data, name, encoded_as):
    path = tmp_path / "image"
    path.write_bytes(data)
    facts = probe(str(path))
    assert (facts.problem, facts.format, facts.width, facts.height) == ("", name, 40, 30)
    encoded, kind = for_tensorflow(data, facts.format, str(path))
    with Image.open(io.BytesIO(encoded)) as image:
        assert (kind, image.format.lower(), image.mode) == (encoded_as, encoded_as, "RGB")
    before, after = (np.asarray(decode_rgb(d)).astype(int) for d in (data, encoded))
    # What is not lossy itself loses nothing; noise is the worst that JPEG can meet.
    assert np.abs(before - after).max() <= (0 if kind == "png" else 30)


def test_of_an_animation_the_first_picture_counts(tmp_path):
    path = tmp_path / "a.gif"
    first, second = (Image.new("RGB", (40, 30), colour) for colour in ("red", "blue"))
    first.save(path, save_all=True, append_images=[second])
    assert probe(str(path)).problem == ""
    encoded, _ = for_tensorflow(path.read_bytes(), "gif", str(path))
    assert decode_rgb(encoded).getpixel((0, 0)) == (255, 0, 0)


def test_pixels_that_are_no_bytes_are_named(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(saved(NOISE.convert("F"), "TIFF"))
    assert "its mode is F" in probe(str(path)).problem


def test_what_is_encoded_anew_is_bounded():
    bomb = saved(Image.new("1", (9_000, 9_000)), "TIFF", compression="group4")
    with pytest.raises(DataError, match="has more than 50,000,000 pixels"):
        for_tensorflow(bomb, "tiff", "a.tif")


@pytest.mark.parametrize("image_format", ["jpeg", "png"])
def test_jpeg_and_png_stay_as_they_are(image_format):
    data = saved(NOISE, image_format)
    assert for_tensorflow(data, image_format, "a") == (data, image_format)
