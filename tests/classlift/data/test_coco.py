import re
from pathlib import Path

import pytest
from PIL import Image

from classlift.data.formats import read_labels
from classlift.data.formats.coco import SHARED_ID
from classlift.data.formats.collected import ORPHAN
from classlift.data.images import probe
from classlift.errors import DataError

pytestmark = pytest.mark.unit


def test_reads_images_and_corners(coco):
    labels = read_labels(coco())
    assert [image.file_name for image in labels.images] == ["images/1.jpg", "images/2.jpg"]
    assert labels.boxes[1].box == (5.0, 5.0, 13.5, 14.25)
    assert labels.boxes[1].label == "scooter"
    assert labels.boxes[1].source == "data/annotations.json annotation 2"


IMAGE = {"id": 1, "file_name": "images/1.jpg", "width": 40, "height": 30}
CAR = {"id": 1, "name": "car"}
BOX = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"images": None}, "no list 'images'"),
        (
            {"images": [IMAGE, {**IMAGE, "file_name": "b.jpg"}]},
            "the id 1 stands more than once in images",
        ),
        (
            {"images": [IMAGE, {**IMAGE, "id": 2}]},
            "the file name 'images/1.jpg' stands more than once",
        ),
        ({"images": [{**IMAGE, "id": 1.5}]}, "a number or a string as `id`"),
        ({"images": [IMAGE], "categories": [{"name": "car"}]}, "a number or a string as `id`"),
        ({"images": [{**IMAGE, "file_name": None}]}, "image 1 has no file_name"),
        ({"images": [{**IMAGE, "width": "wide"}]}, "the width 'wide' is no whole number"),
        ({"images": [{**IMAGE, "height": 30.5}]}, "the height 30.5 is no whole number"),
        ({"annotations": [{**BOX, "iscrowd": "x"}]}, "annotation 1 has the iscrowd 'x'; write 0"),
        ({"annotations": [BOX, 7]}, "annotations[1] must be an object"),
    ],
)
def test_refuses_with_a_sentence(coco, parts, sentence):
    path = coco(**parts)
    with pytest.raises(DataError, match=re.escape(sentence)) as error:
        read_labels(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("name", ["/etc/passwd", "../../x.jpg", "..\\..\\x.jpg", "C:\\x.jpg"])
def test_a_path_never_leaves_the_folder(coco, name):
    path = coco(images=[{**IMAGE, "file_name": name}])
    Image.new("RGB", (40, 30)).save(path.parent.parent.parent / "x.jpg")
    (image,) = read_labels(path).images
    assert Path(image.uri).parent == path.parent
    assert "there is no such file" in probe(image.uri).problem


def test_ids_may_be_strings(coco):
    image = {**IMAGE, "id": "a"}
    labels = read_labels(coco(images=[image], annotations=[{**BOX, "image_id": "a"}]))
    assert labels.boxes[0].file_name == "images/1.jpg"


@pytest.mark.parametrize("image_id", [9, "1", [], None, True])
def test_a_box_of_an_image_that_is_not_listed_is_one_finding(coco, image_id):
    lost = {**BOX, "id": 2, "image_id": image_id}
    labels = read_labels(coco(annotations=[BOX, lost]))
    assert len(labels.boxes) == 1
    (remark,) = labels.remarks
    assert remark.problem == f"{ORPHAN}: image {image_id!r}"
    assert (remark.severity, remark.source) == ("critical", "data/annotations.json annotation 2")


def test_ids_of_annotations_may_repeat_or_lack(coco):
    """Tools number them anew in each image, and merged files repeat them."""
    nameless = {key: value for key, value in BOX.items() if key != "id"}
    boxes = [BOX, {**BOX, "bbox": [1, 1, 5, 5]}, {**BOX, "bbox": [9, 9, 5, 5]}, nameless, nameless]
    labels = read_labels(coco(annotations=boxes))
    assert [box.box[0] for box in labels.boxes] == [BOX["bbox"][0], 1, 9, *[BOX["bbox"][0]] * 2]
    assert [remark.problem for remark in labels.remarks] == [f"{SHARED_ID}: 2"]
    assert labels.boxes[4].source == "data/annotations.json annotation 4"


def test_a_broken_export_is_named_whole(coco):
    """All repeated ids and the missing files, in one sentence."""
    gone = {**IMAGE, "file_name": "images/gone.jpg"}
    with pytest.raises(DataError) as error:
        read_labels(coco(images=[IMAGE, gone, {**IMAGE, "id": 2}], categories=[CAR, CAR]))
    for part in ("id 1 stands more than once in images", "in categories", "gone.jpg"):
        assert part in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00"])
def test_refuses_what_is_no_coco(tmp_path, text):
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"not valid JSON|not COCO JSON"):
        read_labels(path)


def test_refuses_a_link_out_of_the_folder(coco, tmp_path):
    path = coco()
    outside = tmp_path / "outside.jpg"
    outside.write_bytes((path.parent / "images" / "1.jpg").read_bytes())
    (path.parent / "images" / "1.jpg").unlink()
    (path.parent / "images" / "1.jpg").symlink_to(outside)
    with pytest.raises(DataError, match="leaves the data folder"):
        read_labels(path)
