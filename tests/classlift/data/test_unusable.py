"""One image that is not there, or one label file that can't be read, is one finding: in each
format, and no refused source.
"""

from pathlib import Path

import pytest
from PIL import Image

from classlift.data.formats import FORMATS
from classlift.data.images import ABSENT
from classlift.data.snapshot import LOST, Source, take_snapshot
from classlift.data.unusable import UNREAD
from classlift.errors import DataError
from classlift.quality.checks import broken_images
from classlift.quality.findings import Finding
from classlift.quality.repair import repair
from tests.classlift.data.test_mutations import FORMATS as WRITERS
from tests.classlift.data.test_mutations import NAMES

pytestmark = pytest.mark.unit

APART = {name: write for name, write in WRITERS.items() if name != "tfrecord"}
"""The formats whose images are files."""


def data(folder: Path, format_name: str) -> Path:
    """Two images with a box each, `0.jpg` of a cat and `1.jpg` of a dog."""
    folder.mkdir()
    for number in (0, 1):
        Image.effect_noise((40, 30), 50).convert("RGB").save(folder / f"{number}.jpg")
    WRITERS[format_name](folder)
    return folder


def image_of(folder: Path, number: int) -> Path:
    return next(folder.rglob(f"{number}.jpg"))


def findings(snapshot) -> list[Finding]:
    return broken_images(snapshot, None, None)


def critical(snapshot) -> list[Finding]:
    return [finding for finding in findings(snapshot) if finding.severity == "critical"]


def require_left_out(folder: Path, tmp_path: Path, rule: str) -> None:
    """What is lost is one finding, is left out by `--fix`, and by a run up to a share."""
    snapshot = take_snapshot([Source(folder)])
    (finding,) = critical(snapshot)
    assert (finding.rule, finding.count, len(finding.where)) == (rule, 1, 1)
    assert finding.fix.startswith("leaves out")
    repair(snapshot, NAMES, tmp_path / "fixed")
    fixed = take_snapshot([Source(tmp_path / "fixed")])
    left = take_snapshot([Source(folder)], droppable=0.5)
    for kept in (fixed, left):
        assert (kept.images.num_rows, kept.boxes["label"].to_pylist()) == (1, ["dog"])
        assert not critical(kept)
    (listed,) = [finding for finding in findings(left) if finding.rule == LOST]
    assert (listed.severity, listed.count) == ("warning", 1)
    with pytest.raises(DataError, match=r"1 of 2 images \(50.00%\) .* at most 40.00%"):
        take_snapshot([Source(folder)], droppable=0.4)


@pytest.mark.parametrize("format_name", APART)
def test_an_image_that_is_not_there(tmp_path, format_name):
    folder = data(tmp_path / "data", format_name)
    image_of(folder, 0).unlink()
    require_left_out(folder, tmp_path, ABSENT)


@pytest.mark.parametrize("format_name", APART)
def test_no_image_is_there(tmp_path, format_name):
    folder = data(tmp_path / "data", format_name)
    for number in (0, 1):
        image_of(folder, number).unlink()
    way = "with --images" if FORMATS[format_name].images else "put them there"
    with pytest.raises(DataError, match=f"data: none of its 2 image files is there, .*{way}"):
        take_snapshot([Source(folder)])


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"<annotation>", b'{"shapes": ['])
@pytest.mark.parametrize("format_name", ["voc", "labelme", "yolo", "kitti"])
def test_a_label_file_that_cannot_be_read(tmp_path, format_name, content):
    folder = data(tmp_path / "data", format_name)
    (file,) = [p for p in folder.rglob("0.*") if p.suffix != ".jpg"]
    if not content and format_name in ("yolo", "kitti"):
        content = b"0 0.5 0.5 0.2 0.2 7"  # an empty file says that there is nothing
    file.write_bytes(content)
    require_left_out(folder, tmp_path, UNREAD)


@pytest.mark.parametrize("format_name", ["voc", "labelme", "yolo", "kitti"])
def test_no_label_file_can_be_read(tmp_path, format_name):
    folder = data(tmp_path / "data", format_name)
    for number in (0, 1):
        (file,) = [p for p in folder.rglob(f"{number}.*") if p.suffix != ".jpg"]
        file.write_bytes(file.read_bytes() + b"<x")
    with pytest.raises(DataError, match=r"0\.\w+: .*\. 1 more can't be read either\."):
        take_snapshot([Source(folder)])
