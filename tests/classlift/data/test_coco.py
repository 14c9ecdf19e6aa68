import pytest

from classlift.data.formats import read_labels
from classlift.errors import DataError

pytestmark = pytest.mark.unit


def test_reads_images_and_corners(coco):
    labels = read_labels(coco())
    assert [image.file_name for image in labels.images] == ["images/1.jpg", "images/2.jpg"]
    assert labels.boxes[1].box == (5.0, 5.0, 13.5, 14.25)
    assert labels.boxes[1].label == "scooter"
    assert labels.boxes[1].source == "data/annotations.json annotation 2"


IMAGE = {"id": 1, "file_name": "images/1.jpg", "width": 40, "height": 30}
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
        ({"images": [{**IMAGE, "file_name": "/etc/passwd"}]}, "leaves the data folder"),
        ({"images": [{**IMAGE, "file_name": "../../x.jpg"}]}, "leaves the data folder"),
        ({"annotations": [{**BOX, "image_id": 9}]}, "image_id 9, which the file does not define"),
        ({"annotations": [{**BOX, "category_id": 9}]}, "category_id 9"),
        ({"annotations": [{**BOX, "image_id": []}]}, "which the file does not define"),
        ({"annotations": [BOX, BOX]}, "the id 1 stands more than once in annotations"),
    ],
)
def test_refuses_with_a_sentence(coco, parts, sentence):
    path = coco(**parts)
    with pytest.raises(DataError, match=sentence.replace("(", r"\(")) as error:
        read_labels(path)
    assert str(path) in str(error.value)


def test_ids_may_be_strings(coco):
    image = {**IMAGE, "id": "a"}
    labels = read_labels(coco(images=[image], annotations=[{**BOX, "image_id": "a"}]))
    assert labels.boxes[0].file_name == "images/1.jpg"


def test_a_broken_export_is_named_whole(coco):
    """All repeated ids and the missing files, in one sentence."""
    gone = {**IMAGE, "file_name": "images/gone.jpg"}
    with pytest.raises(DataError) as error:
        read_labels(coco(images=[IMAGE, gone, {**IMAGE, "id": 2}], annotations=[BOX, BOX]))
    for part in ("id 1 stands more than once in images", "in annotations", "gone.jpg"):
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
