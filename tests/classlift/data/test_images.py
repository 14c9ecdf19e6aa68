import io

import pytest
from PIL import Image

from classlift.data.images import probe

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
        (picture("GIF"), "format is JPEG or PNG"),
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
    assert "can be read" in probe(str(tmp_path / "none.jpg")).problem
