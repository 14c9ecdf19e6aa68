import errno
import hashlib
import json
import math
import os

import pytest
from PIL import Image

from classlift.data.snapshot import Source, take_snapshot
from classlift.errors import ConfigError, DataError
from classlift.quality.repair import CHANGES, repair

pytestmark = pytest.mark.unit
LABELS = ("car", "scooter")
GOOD = [5.0, 5.0, 8.0, 9.0]


def content(folder):
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def repaired(path, tmp_path):
    """(changes, boxes) of the repaired copy, which must be readable; the source stays as it was."""
    before = content(path.parent)
    repair(take_snapshot([Source(path)]), LABELS, tmp_path / "new")
    assert content(path.parent) == before
    changes = json.loads((tmp_path / "new" / CHANGES).read_text())
    again = take_snapshot([Source(tmp_path / "new" / "annotations.json")])
    assert again.problems.num_rows == 0
    return changes, again


@pytest.mark.parametrize(
    ("bbox", "action", "corners"),
    [
        (GOOD, None, (5.0, 5.0, 13.0, 14.0)),
        ([35.0, 20.0, 9.0, 5.0], "clipped the box", (35.0, 20.0, 40.0, 25.0)),
        ([-2.0, -3.0, 9.0, 9.0], "clipped the box", (0.0, 0.0, 7.0, 6.0)),
        ([13.0, 14.0, -8.0, -9.0], "ordered the sides", (5.0, 5.0, 13.0, 14.0)),
        ([50.0, 5.0, 5.0, 5.0], "dropped the box", None),  # nothing of it is inside
        ([5.0, 5.0, 0.0, 9.0], "dropped the box", None),
        ([math.nan, 5.0, 8.0, 9.0], "dropped the box", None),
    ],
)
def test_boxes(coco, tmp_path, bbox, action, corners):
    boxes = [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": bbox},
        {"id": 2, "image_id": 2, "category_id": 2, "bbox": GOOD},
    ]
    changes, again = repaired(coco(annotations=boxes), tmp_path)
    assert [c["action"] for c in changes if "annotation 1" in c["source"]][-1:] == (
        [action] if action else []
    )
    found = [b for b in again.boxes.to_pylist() if "1.jpg" in b["image_id"]]
    sides = [tuple(b[s] for s in ("xmin", "ymin", "xmax", "ymax")) for b in found]
    assert sides == ([corners] if corners else [])
    assert again.boxes.num_rows == len(sides) + 1


def test_repeats_are_dropped(coco, tmp_path):
    boxes = [
        {"id": i, "image_id": 1, "category_id": c, "bbox": GOOD}
        for i, c in ((1, 1), (2, 1), (3, 2))
    ]
    changes, again = repaired(coco(annotations=boxes), tmp_path)
    assert {c["source"].rsplit(" ", 1)[1]: c["reason"] for c in changes} == {
        "2": "it repeats another box of its class",
    }
    assert sorted(again.boxes["label"].to_pylist()) == ["car", "scooter"]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        *((name, "car") for name in ("Car", "car ", " CAR", "car\t", "c\u200bar")),
        *((name, name) for name in ("zebra", "c ar", "carr", "")),
    ],
)
def test_no_labelled_object_becomes_background(coco, tmp_path, name, kept):
    """Its class is renamed where only one can be meant, and stays otherwise."""
    names = [{"id": 1, "name": name}, {"id": 2, "name": "scooter"}]
    changes, again = repaired(coco(categories=names), tmp_path)
    assert sorted(again.boxes["label"].to_pylist()) == sorted([kept, "scooter"])
    reason = f"{name!r} differs from 'car' only in case or blanks"
    assert [(c["action"], c["reason"]) for c in changes] == (
        [("renamed its class", reason)] if kept == "car" else []
    )


def test_two_names_that_may_be_meant(coco, tmp_path):
    names = [{"id": 1, "name": "CAR"}, {"id": 2, "name": "scooter"}]
    repair(take_snapshot([Source(coco(categories=names))]), ("car", "Car"), tmp_path / "new")
    again = take_snapshot([Source(tmp_path / "new" / "annotations.json")])
    assert "CAR" in again.boxes["label"].to_pylist()


def test_images_are_linked_and_edited_ones_are_not(coco, tmp_path):
    path = coco()
    tags = Image.Exif()
    tags[0x0112] = 6
    Image.new("RGB", (30, 40)).save(path.parent / "images" / "1.jpg", exif=tags)
    repaired(path, tmp_path)
    for number, linked in ((1, False), (2, True)):
        source = path.parent / "images" / f"{number}.jpg"
        (copy,) = (tmp_path / "new").rglob(f"{number}.jpg")
        assert source.samefile(copy) == linked


def test_images_are_copied_where_there_are_no_links(coco, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    path = coco()
    repaired(path, tmp_path)
    (copy,) = (tmp_path / "new").rglob("2.jpg")
    source = path.parent / "images" / "2.jpg"
    assert not source.samefile(copy)
    assert source.read_bytes() == copy.read_bytes()


def test_images_that_cannot_be_used_are_left_out(coco, tmp_path):
    path = coco()
    image = path.parent / "images" / "1.jpg"
    image.write_bytes(image.read_bytes()[:200])
    changes, again = repaired(path, tmp_path)
    assert [c["action"] for c in changes] == ["left the image out"]
    assert "decoded" in changes[0]["reason"]
    assert [i.rsplit("/", 1)[1] for i in again.images["image_id"].to_pylist()] == ["2.jpg"]
    assert again.boxes.num_rows == 1


def test_the_second_of_two_equal_files_is_left_out(coco, tmp_path):
    path = coco()
    images = path.parent / "images"
    (images / "2.jpg").write_bytes((images / "1.jpg").read_bytes())
    changes, again = repaired(path, tmp_path)
    assert changes[0]["reason"] == "the same file as data/images/1.jpg"
    assert again.images.num_rows == 1


def test_turned_pixels_are_turned_upright(coco, tmp_path):
    path = coco()
    tags = Image.Exif()
    tags[0x0112] = 6  # stored lying, shown standing
    lying = Image.new("RGB", (30, 40))
    lying.paste((255, 0, 0), (0, 0, 30, 20))  # its upper half is red
    lying.save(path.parent / "images" / "1.jpg", exif=tags, quality=95)
    changes, again = repaired(path, tmp_path)
    assert [c["action"] for c in changes] == ["turned its pixels"]
    uri = next(u for u in again.images["uri"].to_pylist() if u.endswith("1.jpg"))
    upright = Image.open(uri)
    assert upright.size == (40, 30)
    assert upright.getpixel((35, 15))[0] > 200 > 60 > upright.getpixel((5, 15))[0]  # red is right


def test_an_existing_folder_is_refused(coco, tmp_path):
    (tmp_path / "new").mkdir()
    with pytest.raises(ConfigError, match="something is there already"):
        repair(take_snapshot([Source(coco())]), LABELS, tmp_path / "new")


def test_nothing_left_is_an_error_and_leaves_nothing(coco, tmp_path):
    path = coco()
    for image in (path.parent / "images").iterdir():
        image.write_bytes(b"")
    with pytest.raises(DataError, match="can't be repaired"):
        repair(take_snapshot([Source(path)]), LABELS, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_copy_is_a_source_as_it_stands(coco, tmp_path):
    """Its folder and its file are, with the same images and boxes."""
    repair(take_snapshot([Source(coco())]), LABELS, tmp_path / "new")
    folder, file = (
        take_snapshot([Source(path)])
        for path in (tmp_path / "new", tmp_path / "new" / "annotations.json")
    )
    assert folder.content_hash == file.content_hash
    assert folder.boxes.num_rows == 2
