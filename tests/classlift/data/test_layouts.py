"""Folders as tools export them: the path of a folder is enough, and published splits stand."""

import json
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classlift.data.snapshot import Source, take_snapshot
from classlift.errors import ConfigError, DataError
from classlift.settings.field import read
from classlift.settings.sources import SourceSettings

pytestmark = pytest.mark.unit


def picture(path: Path) -> None:
    """An image that looks like no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(zlib.crc32(str(path).encode())).integers(
        0, 255, (30, 40, 3), np.uint8
    )
    Image.fromarray(pixels).resize((80, 60)).save(path)


def xml(name: str, label: str = "car") -> str:
    return (
        f"<annotation><filename>{name}</filename><size><width>80</width><height>60</height></size>"
        f"<object><name>{label}</name><bndbox><xmin>8</xmin><ymin>6</ymin><xmax>40</xmax>"
        "<ymax>36</ymax></bndbox></object></annotation>"
    )


def voc(folder: Path, *names: str) -> None:
    (folder / "Annotations").mkdir(parents=True, exist_ok=True)
    for name in names:
        picture(folder / "JPEGImages" / f"{name}.jpg")
        (folder / "Annotations" / f"{name}.xml").write_text(xml(f"{name}.jpg"))


def splits(snapshot) -> dict[str, str]:
    return dict(zip(*(snapshot.images[c].to_pylist() for c in ("image_id", "split")), strict=True))


def taken(path: Path, **asked: object) -> dict[str, str]:
    return splits(take_snapshot([Source(path, **asked)]))


def test_the_folders_of_splits_stand(tmp_path):
    for split in ("train", "valid", "test"):
        voc(tmp_path / "data" / split, "a", "b")  # names that repeat
    assert taken(tmp_path / "data") == {
        f"data/{folder}/{name}.jpg": split
        for folder, split in (("train", "train"), ("valid", "eval"), ("test", "test"))
        for name in "ab"
    }


def test_what_is_missing_is_said(tmp_path, caplog):
    voc(tmp_path / "data" / "train", "a")
    voc(tmp_path / "data" / "val", "b")
    assert set(taken(tmp_path / "data").values()) == {"train", "eval"}
    assert "the published splits stand: 1 train, 1 eval" in caplog.text
    assert "no image is in test, on which the gate decides" in caplog.text
    assert "`split_from: train`" in caplog.text


def test_one_name_alone_is_no_split(tmp_path, caplog):
    voc(tmp_path / "data" / "train", *"abcdefghi")
    assert set(taken(tmp_path / "data").values()) == {"train", "eval", "test"}
    assert "write `split: train` to keep them there" in caplog.text


def test_split_from(tmp_path):
    voc(tmp_path / "data" / "train", *(f"a{number}" for number in range(20)))
    voc(tmp_path / "data" / "test", *(f"b{number}" for number in range(8)))
    parted = taken(tmp_path / "data", split_from="train")
    assert Counter((name.split("/")[1], split) for name, split in parted.items()) == {
        ("train", "train"): 20,
        ("test", "eval"): 4,
        ("test", "test"): 4,
    }
    spread = Counter(taken(tmp_path / "data", split_from="spread").values())
    assert spread["train"] in (19, 20)
    assert spread["eval"] > 0
    assert spread["test"] > 0
    with pytest.raises(DataError, match=r"split_from: published needs splits .* there are none"):
        taken(tmp_path / "data" / "train", split_from="published")


def test_a_split_of_before_outlives_a_published_one(tmp_path, caplog):
    """What a model was trained on does not judge the next one."""
    voc(tmp_path / "data" / "train", *"abcdef")
    voc(tmp_path / "data" / "test", *"ghi")
    memory = tmp_path / "memory"
    first = splits(take_snapshot([Source(tmp_path / "data", split_from="spread")], memory))
    assert splits(take_snapshot([Source(tmp_path / "data")], memory)) == first
    assert "of before instead of the published" in caplog.text


def test_a_split_and_where_it_comes_from_exclude_each_other():
    record = {"path": "x", "split": "train", "split_from": "spread"}
    with pytest.raises(ConfigError, match="leave `split_from` out"):
        read(SourceSettings, record)


def test_several_sets_in_one_folder_are_named(tmp_path):
    voc(tmp_path / "data" / "streets", "a")
    voc(tmp_path / "data" / "cards", "b")
    with pytest.raises(DataError, match=r"several sets of labels: cards \(voc\), streets \(voc\)"):
        taken(tmp_path / "data")


def coco(path: Path, name: str, category: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = {"id": 1, "file_name": name, "width": 80, "height": 60}
    box = {"id": 1, "image_id": 1, "category_id": category, "bbox": [8, 6, 32, 30]}
    categories = [{"id": 1, "name": "car"}, {"id": 2, "name": "bus"}]
    document = {"images": [image], "annotations": [box], "categories": categories}
    path.write_text(json.dumps(document))


def test_images_of_one_name_in_two_folders(tmp_path):
    sources = []
    for split in ("train", "eval"):
        picture(tmp_path / "images" / split / "frame_0.png")
        coco(tmp_path / "annotations" / f"{split}.json", "frame_0.png")
        path = tmp_path / "annotations" / f"{split}.json"
        sources.append(Source(path, split, images=tmp_path / "images" / split))
    assert splits(take_snapshot(sources)) == {
        "train/frame_0.png": "train",
        "eval/frame_0.png": "eval",
    }


def test_two_label_files_of_one_image_are_named(tmp_path):
    voc(tmp_path / "data", "a")
    (tmp_path / "data" / "Annotations" / "a (1).xml").write_text(xml("a.jpg", "bus"))
    with pytest.raises(DataError, match=r"'data/a.jpg' is listed 2 times \(by data/a \(1\).xml "):
        taken(tmp_path / "data")


@pytest.mark.parametrize(
    ("labels", "images"),
    [
        ("annotations/instances_{}2017.json", "{}2017/0.png"),  # COCO's own
        ("annotations/instances_{}.json", "images/{}/0.png"),  # CVAT
        ("{}/_annotations.coco.json", "{}/0.png"),  # Roboflow
        ("{}.json", "images/{}/0.png"),
    ],
)
def test_coco_as_it_is_exported(tmp_path, labels, images):
    root = tmp_path / "data"
    for split in ("train", "val"):
        picture(root / images.format(split))
        coco(root / labels.format(split), "0.png")
    assert taken(root) == {
        f"data/{images.format(split)}": place
        for split, place in (("train", "train"), ("val", "eval"))
    }
    (alone,) = taken(root / labels.format("train"))
    assert alone.endswith(images.format("train").rpartition("/")[0].split("/")[-1] + "/0.png")


def test_coco_files_of_other_tasks_are_left(tmp_path):
    picture(tmp_path / "data" / "train2017" / "0.png")
    for name in ("instances_train2017", "person_keypoints_train2017"):
        coco(tmp_path / "data" / "annotations" / f"{name}.json", "0.png")
    assert list(taken(tmp_path / "data")) == ["data/train2017/0.png"]


def test_images_that_are_nowhere(tmp_path):
    coco(tmp_path / "data" / "annotations" / "a.json", "0.png")
    with pytest.raises(DataError, match=r"none of its 1 image files .* 0.png\); .* --images"):
        taken(tmp_path / "data")
