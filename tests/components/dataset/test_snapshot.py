import json

import pytest

from components.dataset.snapshot import Snapshot, Source, fingerprint, take_snapshot
from components.errors import DataError
from tests.components.conftest import quiet

pytestmark = pytest.mark.unit


def test_round_trip(coco, tmp_path):
    taken = take_snapshot([Source(coco(), "train")], quiet)
    taken.write(tmp_path / "snapshot")
    read = Snapshot.read(tmp_path / "snapshot")
    assert read.images.equals(taken.images)
    assert read.boxes.to_pylist() == taken.boxes.to_pylist()
    assert read.content_hash == taken.content_hash


def test_hash_follows_the_content_alone(coco):
    path = coco()
    first = take_snapshot([Source(path, "train")], quiet).content_hash
    document = json.loads(path.read_text())
    document["images"].reverse()
    document["annotations"].reverse()
    path.write_text(json.dumps(document))
    assert take_snapshot([Source(path, "train")], quiet).content_hash == first  # another order
    assert take_snapshot([Source(path, "eval")], quiet).content_hash != first  # another split
    document["annotations"][0]["category_id"] = 1
    path.write_text(json.dumps(document))
    assert take_snapshot([Source(path, "train")], quiet).content_hash != first  # another label


def test_a_wrong_size_is_a_problem_not_an_error(coco):
    image = {"id": 1, "file_name": "images/1.jpg", "width": 41, "height": 30}
    path = coco(images=[image], annotations=[])
    problems = take_snapshot([Source(path, "train")], quiet).problems.to_pylist()
    assert "(41x30): it is 40x30" in problems[0]["problem"]
    assert problems[0]["source"] == "data/annotations.json image 1"


def test_split_by_content_never_by_order(coco):
    path = coco()
    first = take_snapshot([Source(path)], quiet).images.to_pylist()
    document = json.loads(path.read_text())
    document["images"].reverse()
    path.write_text(json.dumps(document))
    second = take_snapshot([Source(path)], quiet).images.to_pylist()
    assert {r["image_id"]: r["split"] for r in first} == {r["image_id"]: r["split"] for r in second}


def test_images_with_one_id_are_refused(coco):
    path = coco()
    with pytest.raises(DataError, match=r"'data/images/1.jpg' is listed 2 times .* 1 more; list"):
        take_snapshot([Source(path, "train"), Source(path, "eval")], quiet)


def test_no_images_is_an_error(coco):
    with pytest.raises(DataError, match="have no images"):
        take_snapshot([Source(coco(images=[], annotations=[]), "train")], quiet)


def test_fingerprint_changes_with_a_file(coco):
    path = coco()
    first = fingerprint([Source(path)])
    assert fingerprint([Source(path)]) == first
    (path.parent / "images" / "1.jpg").write_bytes(b"other")
    assert fingerprint([Source(path)]) != first


def test_fingerprint_names_a_missing_source(tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        fingerprint([Source(tmp_path / "none.json")])
