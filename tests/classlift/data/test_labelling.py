"""What a source is labelled for, and what its images say of it."""

import json

import pytest

from classlift.data.snapshot import Labelling, Snapshot, Source, fingerprint, take_snapshot
from classlift.errors import DataError

pytestmark = pytest.mark.unit
NEW = Labelling(("car", "scooter", "bus"), frozenset({"bus"}))


def unlabelled(taken: Snapshot) -> list[list[str]]:
    return taken.images["unlabelled"].to_pylist()


def with_a_bus(path):
    document = json.loads(path.read_text())
    document["categories"].append({"id": 9, "name": "bus"})
    document["annotations"][0]["category_id"] = 9
    path.write_text(json.dumps(document))
    return path


def test_a_source_is_labelled_for_a_new_class_that_it_has_a_box_of(coco):
    path = coco()
    taken = take_snapshot([Source(path, "train")], labelling=NEW)
    assert unlabelled(taken) == [["bus"]] * taken.images.num_rows
    taken = take_snapshot([Source(with_a_bus(path), "train")], labelling=NEW)
    assert unlabelled(taken) == [[]] * taken.images.num_rows


def test_a_source_says_what_it_is_labelled_for(coco, caplog):
    caplog.set_level("INFO")
    source = Source(coco(), "train", labelled_for=("scooter", "car", "bus"))
    assert not any(unlabelled(take_snapshot([source], labelling=NEW)))
    source = Source(source.path, "train", labelled_for=("scooter", "car"))
    assert unlabelled(take_snapshot([source], labelling=NEW))[0] == ["bus"]
    assert any(line.endswith("boxes, not labelled for bus") for line in caplog.messages)


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        (("scooter", "lorry"), "labelled_for names 'lorry', which is no class of the model"),
        (("bus",), "it has boxes of class .*, which its labelled_for leaves out"),
    ],
)
def test_what_contradicts_itself_is_refused(coco, classes, sentence):
    with pytest.raises(DataError, match=sentence):
        take_snapshot([Source(coco(), "train", labelled_for=classes)], labelling=NEW)


def test_the_hash_tells_data_that_are_labelled_for_less(coco):
    path = coco()
    plain = take_snapshot([Source(path, "train")])
    assert take_snapshot([Source(path, "train")], labelling=NEW).content_hash != plain.content_hash
    known = Labelling(NEW.classes)
    assert take_snapshot([Source(path, "train")], labelling=known).content_hash == (
        plain.content_hash
    )
    assert fingerprint([Source(path)]) != fingerprint([Source(path, labelled_for=("car",))])


def test_what_was_remembered_for_other_classes_is_not_taken(coco, tmp_path):
    source = Source(coco(), "train")
    take_snapshot([source], tmp_path / "memory")
    assert unlabelled(take_snapshot([source], tmp_path / "memory", labelling=NEW))[0] == ["bus"]


def test_a_snapshot_of_an_earlier_version_is_labelled_for_all(coco, tmp_path):
    taken = take_snapshot([Source(coco(), "train")])
    earlier = Snapshot(
        taken.images.drop_columns("unlabelled"), taken.boxes, taken.problems, taken.content_hash
    )
    earlier.write(tmp_path / "snapshot")
    assert Snapshot.read(tmp_path / "snapshot").images.equals(taken.images)
