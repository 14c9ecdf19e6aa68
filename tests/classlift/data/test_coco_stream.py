"""COCO JSON read in a stream gives, to the last byte, what reading it whole gives."""

import json
import os

import pytest

from classlift.data import json_stream, kept_labels, labels
from classlift.data.formats import coco as coco_format
from classlift.data.formats import coco_columns
from classlift.data.formats.coco import coco_shards, load, shards_of
from classlift.data.formats.coco_columns import read_columns
from classlift.data.image_files import ImageFiles
from classlift.data.labels import LabelledBox, LabelledImage, packed_shards, read_packed_shard
from classlift.data.places import Place
from classlift.data.problems import INFO, ImageProblem
from classlift.data.snapshot import Source, take_snapshot
from classlift.errors import DataError

pytestmark = pytest.mark.unit

IMAGES = [
    {"id": 7, "file_name": "images/1.jpg", "width": 40, "height": 30},
    {"id": 3, "file_name": "images/2.jpg", "license": 4, "flickr_url": "http://x/\u00e9"},
]
BOX = {"id": 5, "image_id": 3, "category_id": 2, "bbox": [1, 2.5, 3.1, 4], "iscrowd": 0}
CROWD = {**BOX, "id": 2, "iscrowd": 1, "segmentation": {"counts": [3, 4, 5], "size": [30, 40]}}
POLYGON = {**BOX, "id": 9, "image_id": 7, "segmentation": [[1.5, 2, 3e0, 4, 5, -6.25e-1]]}
CLASSES = [{"id": 2, "name": "caf\u00e9"}, {"id": 1, "name": 7}, {"id": -3}]


def document(images=IMAGES, annotations=(BOX, CROWD, POLYGON), categories=CLASSES, **more):
    return {
        "images": images,
        "annotations": annotations,
        "categories": categories,
        "info": {"annotations": [1], "}": '"]'},
        **more,
    }


def with_boxes(*boxes):
    return json.dumps(document(annotations=[*document()["annotations"], *boxes]))


REGULAR = {
    "as COCO's own": json.dumps(document()),
    "with indents": json.dumps(document(), indent=3),
    "with a byte order mark": "\ufeff" + json.dumps(document(), ensure_ascii=False),
    "boxes before images": json.dumps(dict(reversed(document().items()))),
    "nothing labelled": json.dumps(document(annotations=[])),
    "nothing at all": '{"images": [], "annotations":[], "categories" :[] }\n ',
    "a number at the end": json.dumps(document(version=12345.5)),
    "a character beyond the first plane": json.dumps(document(info="\U0001f600")),
    "sides that are no numbers": with_boxes(
        {**BOX, "id": 11, "bbox": [float("nan"), 1, 2, float("inf")]},
        {**BOX, "id": 12, "bbox": [1, 2, 3]},
        {**BOX, "id": 13, "bbox": None},
        {**BOX, "id": 14, "bbox": [10**400, 1, 2, 3]},
        {"id": 15, "image_id": 7, "category_id": -3},
    ),
    "flags however they are written": with_boxes(
        {**BOX, "id": 11, "iscrowd": True},
        {**BOX, "id": 12, "iscrowd": "1", "difficult": "no"},
        {**BOX, "id": 13, "attributes": {"difficult": 1}, "iscrowd": None},
        {**BOX, "id": 14, "difficult": 1.0, "attributes": []},
    ),
    "sizes however they are written": json.dumps(
        document([{**IMAGES[0], "width": "40", "height": 0}, {**IMAGES[1], "width": 40.0}])
    ),
    "names that are a little different": json.dumps(
        document([{**IMAGES[0], "file_name": "IMAGES\\1.JPG"}, IMAGES[1]])
    ),
    "some images are not there": json.dumps(
        document([*IMAGES, {"id": 1, "file_name": "gone.jpg"}])
    ),
}
ODD = {
    "cut": json.dumps(document())[:-200],
    "cut before its end": json.dumps(document())[:-1],
    "something behind it": json.dumps(document()) + "}",
    "no object": json.dumps([document()]),
    "a list is missing": json.dumps({"images": IMAGES, "categories": CLASSES}),
    "a list is none": json.dumps(document(annotations={"id": 1})),
    "a key twice": json.dumps(document())[:-1] + ', "images": []}',
    "a key twice in a record": json.dumps(document()).replace('"id": 9', '"id": 9, "id": 8'),
    "half a character": json.dumps(document(info="\ud83d")),
    "no comma": json.dumps(document()).replace("}, {", "} {", 1),
    "a comma too many": json.dumps(document()).replace("}]", "},]", 1),
    "nested without end": json.dumps(document(info=0)).replace(
        '"info": 0', '"info": ' + "[" * 99_999
    ),
    "a number without end": json.dumps(document(info=0)).replace("0}", "1" * 5000 + "}"),
    "ids twice": with_boxes(BOX),
    "an image twice": json.dumps(document([*IMAGES, {**IMAGES[0], "id": 8}])),
    "one file by two names": json.dumps(
        document([*IMAGES, {"id": 8, "file_name": "images/./1.jpg"}])
    ),
    "ids that are text": json.dumps(
        document([{**IMAGES[0], "id": "7"}], [{**BOX, "image_id": "7"}])
    ),
    "ids beyond 64 bits": with_boxes({**BOX, "id": 2**70}),
    "an id that is true": with_boxes({**BOX, "id": 11, "image_id": True}),
    "no such image": with_boxes({**BOX, "id": 11, "image_id": 4}),
    "no such category": with_boxes({**BOX, "id": 11, "category_id": 4}),
    "a flag that is none": with_boxes({**BOX, "id": 11, "iscrowd": "x"}),
    "a size that is none": json.dumps(document([{**IMAGES[0], "width": "wide"}])),
    "a size without end": json.dumps(document([{**IMAGES[0], "width": 2**40}])),
    "no file_name": json.dumps(document([{"id": 1}])),
    "a name that is a list": json.dumps(document(categories=[{"id": 2, "name": []}])),
    "records that are none": json.dumps(document([1, 2])),
    "a path that leaves the folder": json.dumps(
        document([IMAGES[0], {**IMAGES[1], "file_name": "../x.jpg"}])
    ),
    "no image is there": json.dumps(document([{"id": 1, "file_name": "a.jpg"}], [])),
}


@pytest.fixture(params=[7, json_stream.PIECE_BYTES], ids=["cut anywhere", "whole"])
def pieces(request, monkeypatch):
    monkeypatch.setattr(json_stream, "PIECE_BYTES", request.param)


def outcome(read):
    """What reading gives: shards, or a sentence."""
    try:
        return [(shard.key, shard.items) for shard in read()]
    except DataError as error:
        return str(error)


def both(folder, text):
    path = folder / "annotations.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    place = Place("coco", path, folder)
    whole = outcome(lambda: shards_of(load(path), path, ImageFiles(folder)))
    return outcome(lambda: coco_shards(place)), whole


@pytest.mark.parametrize("text", REGULAR.values(), ids=REGULAR)
def test_equals_the_plain_way(coco, text, pieces):
    folder = coco().parent
    streamed, whole = both(folder, text)
    assert streamed == whole
    assert isinstance(whole, list)
    assert read_columns(folder / "annotations.json", 10**9, None) is not None


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_what_is_odd_gets_the_sentence_of_the_plain_way(coco, text, pieces):
    streamed, whole = both(coco().parent, text)
    assert streamed == whole


def test_many_images_are_cut_as_before(coco):
    folder = coco().parent
    images = [{"id": 9 * n, "file_name": f"images/{n}.jpg"} for n in range(600)]
    boxes = [{**BOX, "id": n, "image_id": 9 * (n * 7919 % 600)} for n in range(2000)]
    streamed, whole = both(folder, json.dumps(document(images, boxes)))
    assert len(streamed) == 3
    assert streamed == whole


def test_packed_labels_are_what_was_packed(tmp_path):
    image = LabelledImage("a.jpg", "/x/a.jpg", 40, None, "f a", False, "train")
    other = LabelledImage("b.jpg", "/x/b.jpg", None, None, "f b")
    boxes = [
        LabelledBox("a.jpg", "car", (0.1, 2.0, 3.0, 4.0), "f 1", True, False),
        LabelledBox("a.jpg", "", coco_format.NO_PLACE, "f 2", False, True),
    ]
    remarks = [ImageProblem("gone.jpg", "f", "rule: value", INFO)]
    (shard,) = packed_shards("via", tmp_path, [(image, boxes), (other, [])], remarks)
    labels = read_packed_shard(shard)
    assert labels.images == [image, other]
    assert labels.boxes == boxes
    assert labels.remarks == remarks


def snapshot_of(path, memory):
    return take_snapshot([Source(path)], memory).content_hash


def test_a_file_that_has_not_changed_is_not_read_again(coco, tmp_path, monkeypatch):
    path = coco()
    first = snapshot_of(path, tmp_path / "memory")

    def never(*_):
        raise AssertionError("it is read again")

    monkeypatch.setattr(coco_columns, "records", never)
    assert snapshot_of(path, tmp_path / "memory") == first
    (path.parent / "images" / "1.jpg").write_bytes(b"another")  # the labels are the same
    assert snapshot_of(path, tmp_path / "memory") != first
    os.utime(path, ns=(1, 1))
    with pytest.raises(AssertionError, match="it is read again"):
        snapshot_of(path, tmp_path / "memory")


def test_what_other_code_read_is_read_again(coco, tmp_path, monkeypatch):
    """As after an upgrade that mends a reader."""
    path, memory = coco(), tmp_path / "memory"
    first = snapshot_of(path, memory)

    def mended(*_):
        raise AssertionError("it is read again")

    monkeypatch.setattr(coco_columns, "records", mended)
    assert snapshot_of(path, memory) == first
    for module in (labels, kept_labels):
        monkeypatch.setattr(module, "reader", lambda: "other")
    with pytest.raises(AssertionError, match="it is read again"):
        snapshot_of(path, memory)


def test_a_file_that_has_changed_is_read_again(coco, tmp_path):
    path = coco()
    first = snapshot_of(path, tmp_path / "memory")
    text = json.loads(path.read_text())
    text["annotations"] = text["annotations"][:-1]
    path.write_text(json.dumps(text))
    second = snapshot_of(path, tmp_path / "memory")
    assert second == snapshot_of(path, tmp_path / "other") != first
    assert len(list((tmp_path / "memory" / "parts" / "labels").iterdir())) == 2  # no older ones


def test_what_was_kept_and_is_damaged_is_not_taken(coco, tmp_path, caplog):
    path, memory = coco(), tmp_path / "memory"
    first = snapshot_of(path, memory)
    (kept,) = (memory / "parts" / "labels").glob("*.labels")
    data = bytearray(kept.read_bytes())
    data[len(data) // 2] ^= 1
    kept.write_bytes(data)
    assert snapshot_of(path, memory) == first
    assert "is damaged, and is read anew" in caplog.text
