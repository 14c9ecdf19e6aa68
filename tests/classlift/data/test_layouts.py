"""Folders as tools export them: the path of a folder is enough, and published splits stand."""

import json
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classlift.data.formats import class_list, look
from classlift.data.formats.yolo import NAMED_BESIDE, NAMED_OTHERWISE, NAMED_TWICE
from classlift.data.image_files import RENAMED
from classlift.data.images import ABSENT
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


LINES = "0 0.5 0.5 0.25 0.2\n1 0.25 0.25 0.1 0.1\n"


def yolo(images: Path, labels: Path, *names: str) -> None:
    labels.mkdir(parents=True, exist_ok=True)
    for name in names:
        picture(images / f"{name}.jpg")
        (labels / f"{name}.txt").write_text(LINES)


def roboflow(data: Path) -> None:
    """Split first, and paths in data.yaml that lead out of it, as Roboflow writes them."""
    for split in ("train", "valid", "test"):
        yolo(data / split / "images", data / split / "labels", "a", "b")
    (data / "data.yaml").write_text(
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 2\n"
        "names: ['car', 'bus']\nroboflow: {license: CC BY 4.0}\n"
    )


def ultralytics(data: Path) -> None:
    for split in ("train", "val", "test"):
        yolo(data / "images" / split, data / "labels" / split, f"{split}_a", f"{split}_b")
    (data / "data.yaml").write_text(
        "path: ../datasets/x\ntrain: images/train\nval: images/val\nnames: {0: car, 1: bus}\n"
    )


def named_by_yaml_alone(data: Path) -> None:
    """Folders whose names say nothing, and data.yaml does."""
    for folder in ("first", "second", "third"):
        yolo(data / "images" / folder, data / "labels" / folder, f"{folder}_a", f"{folder}_b")
    (data / "data.yaml").write_text(
        "train: images/first\nval: [images/second]\ntest: images/third\nnames: [car, bus]\n"
    )


def split_first(data: Path, *paths: str) -> None:
    """Folders of splits whose names say nothing; data.yaml has these paths of their images."""
    for folder in ("first", "second", "third"):
        yolo(data / folder / "images", data / folder / "labels", "a", "b")
    train, val, test = paths
    (data / "data.yaml").write_text(
        f"path: /content\ntrain: {train}\nval: [{val}]\ntest: {test}\nnames: [car, bus]\n"
    )


def split_first_named_by_yaml(data: Path) -> None:
    split_first(data, "../first/images", "second/images", "./third")


def split_first_on_another_machine(data: Path) -> None:
    root = "/content/drive/My Drive/x"
    split_first(data, *(f"{root}/{name}/images" for name in ("first", "second", "third")))


def split_first_of_windows(data: Path) -> None:
    split_first(data, *(rf"..\{name}\images" for name in ("first", "second", "third")))


def two_below_its_yaml(data: Path) -> None:
    """As tutorials of Ultralytics have it, with the names of Label Studio above."""
    roboflow(data / "data")
    (data / "data" / "data.yaml").rename(data / "data.yaml")
    (data / "classes.txt").write_text("car\nbus\n")


def darknet_of_roboflow(data: Path) -> None:
    for split in ("train", "valid", "test"):
        yolo(data / split, data / split, "a", "b")
        (data / split / "_darknet.labels").write_text("car\nbus\n")


def lists_of_darknet(data: Path) -> None:
    """Paths from wherever darknet is started."""
    for split, names in (("train", "ab"), ("valid", "cd"), ("test", "ef")):
        yolo(data / "img", data / "img", *names)
        listed = "".join(f"build/x64/data/img/{name}.jpg\n" for name in names)
        (data / f"{split}.txt").write_text(listed)
    (data / "obj.names").write_text("car\nbus\n")
    for path in (data / "img").iterdir():
        path.rename(data / path.name)


def yaml_of_any_name(data: Path) -> None:
    ultralytics(data)
    (data / "data.yaml").rename(data / "streets.yml")
    (data / "mkdocs.yaml").write_text("site_name: x\nnav: !!python/name:x\n")


def lists_of_windows_in_yaml(data: Path) -> None:
    for split, names in (("first", "ab"), ("second", "cd"), ("third", "ef")):
        yolo(data / "images", data / "labels", *names)
        (data / f"{split}.txt").write_text("".join(f"C:\\d\\images\\{n}.jpg\n" for n in names))
    (data / "data.yaml").write_text(
        "train: first.txt\nval: second.txt\ntest: third.txt\nnames: [car, bus]\n"
    )


@pytest.mark.parametrize(
    "export",
    [
        roboflow,
        ultralytics,
        named_by_yaml_alone,
        split_first_named_by_yaml,
        split_first_on_another_machine,
        split_first_of_windows,
        two_below_its_yaml,
        darknet_of_roboflow,
        lists_of_darknet,
        yaml_of_any_name,
        lists_of_windows_in_yaml,
    ],
)
def test_yolo_with_splits(tmp_path, export):
    export(tmp_path / "data")
    snapshot = take_snapshot([Source(tmp_path / "data")])
    assert Counter(splits(snapshot).values()) == {"train": 2, "eval": 2, "test": 2}
    assert Counter(snapshot.boxes["label"].to_pylist()) == {"car": 6, "bus": 6}


@pytest.mark.parametrize("named", ["valid", "test"])
def test_the_names_of_one_split_are_those_of_all(tmp_path, named):
    darknet_of_roboflow(tmp_path / "data")
    for split in {"train", "valid", "test"} - {named}:
        (tmp_path / "data" / split / "_darknet.labels").unlink()
    snapshot = take_snapshot([Source(tmp_path / "data")])
    assert Counter(snapshot.boxes["label"].to_pylist()) == {"car": 6, "bus": 6}
    said = [(problem.problem, problem.severity) for problem in snapshot.image_problems()]
    assert said == [(f"{NAMED_BESIDE}: {named}/_darknet.labels", "info")] * 2
    assert taken(tmp_path / "data" / "train")  # named alone


@pytest.mark.parametrize("other", ["classes.txt", "labels/classes.txt", "obj.names", "x.yaml"])
def test_lists_of_classes_that_contradict_each_other(tmp_path, other):
    yolo(tmp_path / "data" / "images", tmp_path / "data" / "labels", "a", "b")
    (tmp_path / "data" / "data.yaml").write_text("names: [car, bus]")
    file = tmp_path / "data" / other

    def write(*names: str) -> None:
        listed = "\n".join(f"  {n}: {name}" for n, name in enumerate(names))
        file.write_text(f"names:\n{listed}" if other == "x.yaml" else "\n".join(names) + "\n")

    write("car", "bus")
    assert not take_snapshot([Source(tmp_path / "data")]).image_problems()
    write("bus", "car")
    with pytest.raises(DataError, match=rf"{file.name}: class 0 is 'bus' here and 'car' in .*yaml"):
        take_snapshot([Source(tmp_path / "data")])
    write("car", "bus", "van")
    (problem,) = take_snapshot([Source(tmp_path / "data")]).image_problems()
    assert problem.problem == f"{NAMED_TWICE}: 2 in data.yaml and 3 in {file.name}"
    assert problem.severity == "warning"


@pytest.mark.parametrize("count", ["2", "1", "3", "'80'", "two", "[1]"])
def test_a_count_of_classes_that_is_not_theirs_is_said(tmp_path, count):
    yolo(tmp_path / "data" / "images", tmp_path / "data" / "labels", "a", "b")
    (tmp_path / "data" / "data.yaml").write_text(f"nc: {count}\nnames: [car, bus]")
    said = [
        (p.problem, p.severity) for p in take_snapshot([Source(tmp_path / "data")]).image_problems()
    ]
    shown = {"'80'": "80", "[1]": "['1']"}.get(count, count)
    if count == "2":
        assert not said
    else:
        assert said == [(f"{NAMED_OTHERWISE}: {shown}, and 2 names", "warning")]


def test_what_lies_above_describes_other_data(tmp_path):
    yolo(tmp_path / "data" / "images", tmp_path / "data" / "labels", "a", "b")
    (tmp_path / "data" / "classes.txt").write_text("car\nbus\n")
    (tmp_path / "coco.yaml").write_text("names: [person, bicycle]")
    assert not take_snapshot([Source(tmp_path / "data")]).image_problems()


def test_a_yaml_stands_for_its_folder(tmp_path):
    split_first_named_by_yaml(tmp_path / "data")
    named = take_snapshot([Source(tmp_path / "data" / "data.yaml")])
    assert splits(named) == taken(tmp_path / "data")


def test_a_yaml_that_does_not_name_all_folders_is_not_enough(tmp_path):
    split_first(tmp_path / "data", "first/images", "second/images", "nowhere/images")
    with pytest.raises(DataError, match=r"several sets of labels: first \(yolo\), second"):
        taken(tmp_path / "data")


def yolo_apart(data: Path) -> None:
    yolo(data / "images", data / "labels", "a", "b")
    (data / "labels" / "classes.txt").write_text("car\nbus\n")


def voc_apart(data: Path) -> None:
    voc(data, "a", "b")


def coco_with_masks(data: Path) -> None:
    """Masks below `annotations/`, as COCO's panoptic set has them."""
    picture(data / "images" / "train" / "a.jpg")
    picture(data / "annotations" / "panoptic" / "a.png")
    coco(data / "annotations" / "instances.json", "a.jpg")


@pytest.mark.parametrize(
    ("export", "inner"),
    [
        (yolo_apart, "labels"),
        (yolo_apart, "images"),
        (voc_apart, "Annotations"),
        (coco_with_masks, "annotations"),
    ],
)
def test_the_folder_of_the_labels_stands_for_the_one_above(tmp_path, export, inner):
    export(tmp_path / "data")
    whole, part = (take_snapshot([Source(tmp_path / "data" / n)]) for n in ("", inner))
    assert part.boxes.num_rows == whole.boxes.num_rows > 0
    assert sorted(part.images["uri"].to_pylist()) == sorted(whole.images["uri"].to_pylist())
    assert [problem for problem in part.image_problems() if problem.is_critical] == []


def labelimg(data: Path) -> None:
    yolo(data, data, "a", "b")
    (data / "classes.txt").write_text("car\nbus\n")


def labelimg_in_two_folders(data: Path) -> None:
    """labelImg writes classes.txt into the folder of the labels."""
    yolo(data / "images", data / "labels", "a", "b")
    (data / "labels" / "classes.txt").write_text("car\nbus\n")


def labelimg_twice_named(data: Path) -> None:
    labelimg_in_two_folders(data)
    (data / "classes.txt").write_text("car\nbus\n")


def cvat_1_1(data: Path) -> None:
    yolo(data / "obj_train_data", data / "obj_train_data", "a", "b")
    (data / "obj.names").write_text("car\nbus\n")
    (data / "obj.data").write_text("classes = 2\ntrain = data/train.txt\nnames = data/obj.names\n")
    (data / "train.txt").write_text("data/obj_train_data/a.jpg\ndata/obj_train_data/b.jpg\n")


def one_without_labels(data: Path) -> None:
    labelimg(data)
    picture(data / "c.jpg")


@pytest.mark.parametrize(
    "export",
    [labelimg, labelimg_in_two_folders, labelimg_twice_named, cvat_1_1, one_without_labels],
)
def test_yolo_in_one_set(tmp_path, export):
    export(tmp_path / "data")
    snapshot = take_snapshot([Source(tmp_path / "data", "train")])
    assert snapshot.images.num_rows == 2 + (export is one_without_labels)
    assert Counter(snapshot.boxes["label"].to_pylist()) == {"car": 2, "bus": 2}
    box = snapshot.boxes.to_pylist()[0]
    assert [box[side] for side in ("xmin", "ymin", "xmax", "ymax")] == [30, 24, 50, 36]


@pytest.mark.parametrize("is_apart", [True, False])
@pytest.mark.parametrize(
    ("image", "text"),
    [("Caf\u00e9", "Cafe\u0301"), ("IMG_1", "img_1"), ("a", "A")],
    ids=["unicode", "capitals", "one letter"],
)
def test_yolo_labels_are_found_where_one_file_can_be_meant(tmp_path, is_apart, image, text):
    data = tmp_path / "data"
    images, labels = (data / "images", data / "labels") if is_apart else (data, data)
    yolo(images, labels, "b")
    picture(images / f"{image}.jpg")
    (labels / f"{text}.TXT").write_text(LINES)
    (data / "classes.txt").write_text("car\nbus\n")
    snapshot = take_snapshot([Source(data)])
    assert (snapshot.images.num_rows, snapshot.boxes.num_rows) == (2, 4)
    (problem,) = snapshot.image_problems()
    assert problem.rule == RENAMED
    assert f"{text}.TXT" in problem.value
    (labels / f"{text.upper()}.tXt").write_text(LINES)
    with pytest.raises(DataError, match="there is no image of this name"):
        take_snapshot([Source(data)])


def test_labels_beside_images_of_which_one_is_gone_are_critical(tmp_path):
    yolo(tmp_path / "data", tmp_path / "data", "a", "b", "c")
    (tmp_path / "data" / "classes.txt").write_text("car\nbus\n")
    (tmp_path / "data" / "notes.txt").write_text("Photographs of 2026\n")
    (tmp_path / "data" / "c.jpg").unlink()
    snapshot = take_snapshot([Source(tmp_path / "data")])
    assert (snapshot.images.num_rows, snapshot.boxes.num_rows) == (2, 4)
    (problem,) = snapshot.image_problems()
    assert (problem.image_id, problem.rule, problem.severity) == ("data/c.txt", ABSENT, "critical")


def test_text_files_that_are_no_labels_are_none(tmp_path):
    picture(tmp_path / "data" / "a.jpg")
    (tmp_path / "data" / "a.txt").write_text("A picture of a car.\n")
    (tmp_path / "data" / "classes.txt").write_text("car\n")
    with pytest.raises(DataError, match="no labels that can be read"):
        take_snapshot([Source(tmp_path / "data")])


def beside(data: Path) -> None:
    """As labelImg and Roboflow write it."""
    for name in "ab":
        picture(data / f"{name}.jpg")
        (data / f"{name}.xml").write_text(xml(f"{name}.jpg"))


def in_folders(annotations: str, images: str):
    def write(data: Path) -> None:
        for name in "ab":
            picture(data / images / f"{name}.jpg")
            (data / annotations).mkdir(exist_ok=True)
            (data / annotations / f"{name}.xml").write_text(xml(f"{name}.jpg"))

    return write


@pytest.mark.parametrize(
    "export",
    [
        beside,
        in_folders("annots", "images"),
        in_folders("xml", "images"),
        in_folders("xmls", "JPEGImages"),
        in_folders("annotations", "images"),
    ],
)
def test_voc_wherever_its_files_are(tmp_path, export):
    export(tmp_path / "data")
    snapshot = take_snapshot([Source(tmp_path / "data", "train")])
    assert (snapshot.images.num_rows, snapshot.boxes.num_rows) == (2, 2)


def test_voc_of_roboflow(tmp_path):
    for split in ("train", "valid", "test"):
        beside(tmp_path / "data" / split)
    assert Counter(taken(tmp_path / "data").values()) == {"train": 2, "eval": 2, "test": 2}


@pytest.mark.parametrize("annotations", ["annotations", "Annotations", "annots"])
@pytest.mark.parametrize("images", ["images/{}", "JPEGImages"])
def test_voc_with_a_folder_of_annotations_a_split(tmp_path, annotations, images):
    data = tmp_path / "data"
    for split, names in (("train", "ab"), ("val", "cd"), ("test", "ef")):
        for name in names:
            # One name in all splits, where each has a folder of images.
            stem = "0" + "ab"[names.index(name)] if "{" in images else name
            picture(data / images.format(split) / f"{stem}.jpg")
            path = data / annotations / split / f"{stem}.xml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(xml(f"{stem}.jpg"))
    snapshot = take_snapshot([Source(data)])
    assert Counter(splits(snapshot).values()) == {"train": 2, "eval": 2, "test": 2}
    assert all(f"/{i.split('/')[1]}/" in f"/{u}" for i, u in uris(snapshot) if "{" in images)


def uris(snapshot):
    return list(zip(*(snapshot.images[c].to_pylist() for c in ("image_id", "uri")), strict=True))


def test_voc_lists_name_images_with_dots_and_suffixes(tmp_path):
    data = tmp_path / "data"
    voc(data, "a_jpg.rf.01", "b_jpg.rf.01", "c 1")
    lists = data / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a_jpg.rf.01\nc 1\n")
    (lists / "val.txt").write_text("b_jpg.rf.01.jpg\n")
    assert [split for _, split in sorted(taken(data).items())] == ["train", "eval", "train"]


def test_the_lists_of_voc_stand(tmp_path):
    data = tmp_path / "data"
    voc(data, *"abcdef")
    lists = data / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for name, listed in (("train", "ab"), ("val", "cd"), ("test", "ef"), ("trainval", "abcd")):
        (lists / f"{name}.txt").write_text("".join(f"{i}\n" for i in listed))
    (lists / "car_train.txt").write_text("a 1\nf -1\n")  # of a class
    found = {Path(i).stem: split for i, split in taken(data).items()}
    assert found == dict(a="train", b="train", c="eval", d="eval", e="test", f="test")


def test_xml_of_another_tool_is_not_voc(tmp_path):
    picture(tmp_path / "data" / "a.jpg")
    (tmp_path / "data" / "a.xml").write_text("<project><task/></project>")
    with pytest.raises(DataError, match="no labels that can be read"):
        take_snapshot([Source(tmp_path / "data")])


def test_classes_are_numbered_as_the_source_lists_them(tmp_path):
    """Not by which of them happen to be labelled: each split would have other ids."""
    labelimg(tmp_path / "yolo")
    (tmp_path / "yolo" / "classes.txt").write_text("van\ncar\nbus\n")
    assert class_list(look(tmp_path / "yolo"), ["car", "van"]) == ("van", "car", "bus")
    path = tmp_path / "coco" / "a.json"
    path.parent.mkdir()
    categories = [{"id": 7, "name": "pieces"}, {"id": 2, "name": "king"}, {"id": 3, "name": "ace"}]
    path.write_text(json.dumps({"images": [], "annotations": [], "categories": categories}))
    assert class_list(look(path), ["king"]) == ("pieces", "king", "ace")
    voc(tmp_path / "voc", "a")
    assert class_list(look(tmp_path / "voc"), ["car", "bus"]) == ("bus", "car")
    rows = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nvan:1,2,3::\ncar:1,2,3:wheel:\n"
    (tmp_path / "voc" / "labelmap.txt").write_text(rows)
    assert class_list(look(tmp_path / "voc"), ["car", "bus"]) == ("van", "car", "bus")
    labels = "".join(
        f"<label><name>{name}</name>{kind}</label>"
        for name, kind in {"van": "", "wet": "<type>tag</type>", "car": "<type>any</type>"}.items()
    )
    path = tmp_path / "annotations.xml"
    path.write_text(
        f"<annotations><meta><task><labels>{labels}</labels></task></meta></annotations>"
    )
    assert class_list(look(path), ["bus", "car"]) == ("van", "car", "bus")


# Folders as strangers have them


@pytest.mark.parametrize(
    ("images", "labels"), [("Images", "Labels"), ("image", "label"), ("imgs", "labels")]
)
def test_yolo_in_folders_of_other_names(tmp_path, images, labels):
    yolo(tmp_path / "data" / images, tmp_path / "data" / labels, "a", "b")
    (tmp_path / "data" / "names.txt").write_text("car\nbus\n")
    snapshot = take_snapshot([Source(tmp_path / "data")])
    assert (snapshot.images.num_rows, snapshot.boxes.num_rows) == (2, 4)
    assert not snapshot.image_problems()
    assert len(taken(tmp_path / "data" / labels)) == len(taken(tmp_path / "data")) == 2


@pytest.mark.parametrize("labels", ["label", "labels"])
def test_a_folder_of_labels_is_not_always_that_of_yolo(tmp_path, labels):
    picture(tmp_path / "data" / "images" / "a.jpg")
    coco(tmp_path / "data" / labels / "coco.json", "a.jpg")
    picture(tmp_path / "data" / labels / "masks" / "a.png")
    assert look(tmp_path / "data").places[0].format == "coco"
    assert len(taken(tmp_path / "data")) == 1


@pytest.mark.parametrize(
    ("annotations", "images"), [("Annotation", "Image"), ("labels", "images"), ("XML", "pictures")]
)
def test_voc_in_folders_of_other_names(tmp_path, annotations, images):
    for name in "ab":
        picture(tmp_path / "data" / images / f"{name}.jpg")
        (tmp_path / "data" / annotations).mkdir(exist_ok=True)
        (tmp_path / "data" / annotations / f"{name}.xml").write_text(xml(f"{name}.jpg"))
    snapshot = take_snapshot([Source(tmp_path / "data")])
    assert (snapshot.images.num_rows, snapshot.boxes.num_rows) == (2, 2)
    assert not snapshot.image_problems()


@pytest.mark.parametrize("is_voc", [False, True])
def test_what_a_mac_writes_beside_each_file_is_nothing(tmp_path, is_voc):
    if is_voc:
        voc(tmp_path / "data", "a", "b")
    else:
        yolo_apart(tmp_path / "data")
    for path in [path for path in (tmp_path / "data").rglob("*") if path.is_file()]:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
    (tmp_path / "data" / "__MACOSX").mkdir()
    (tmp_path / "data" / "__MACOSX" / "._a.xml").write_bytes(b"\0\5\x16\7")
    snapshot = take_snapshot([Source(tmp_path / "data")])
    assert snapshot.images.num_rows == 2
    assert not snapshot.image_problems()


def test_folders_in_one_another_are_as_deep_as_they_are(tmp_path):
    voc(tmp_path / "x" / "data" / "data" / "my set" / "v1" / "export", "a", "b")
    assert len(taken(tmp_path / "x")) == 2


@pytest.mark.parametrize(("name", "text"), [("a.csv", "filename,class\n"), ("a.json", "{}")])
def test_utf_16_is_named(tmp_path, name, text):
    picture(tmp_path / "a.jpg")
    (tmp_path / name).write_text(text, encoding="utf-16")
    with pytest.raises(DataError, match=r"a\.\w+: it is written in UTF-16; save it in UTF-8"):
        taken(tmp_path)
