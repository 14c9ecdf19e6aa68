"""`bad_boxes: drop`: a run goes on without a few boxes that are none, and lists each."""

import pytest

from classlift.data.snapshot import Source, take_snapshot
from classlift.errors import DataError
from classlift.quality.validate import validate
from classlift.settings.sources import DataSettings

pytestmark = pytest.mark.unit
LABELS = ("car", "scooter")
GOOD = [1, 2, 10, 20]


def boxes(bad: list, count: int = 1000) -> list[dict]:
    found = [{"id": n, "image_id": 1 + n % 2, "category_id": 1, "bbox": GOOD} for n in range(count)]
    for number, bbox in enumerate(bad):
        found[10 * number]["bbox"] = bbox
    return found


@pytest.mark.parametrize(
    "bad",
    [[None], [[]], [[5, 5, 0, 9]], [[5, 5, 9, -1]], [[35, 5, 9, 9]], [[5, 5, 9, float("nan")]]],
)
def test_a_bad_box_is_left_out_and_listed(coco, tmp_path, bad):
    source = [Source(coco(annotations=boxes(bad)), "train")]
    kept = take_snapshot(source)
    assert kept.boxes.num_rows == 1000
    assert {f.severity for f in findings(kept, tmp_path) if "1 box" in f.fault} == {"critical"}
    left = take_snapshot(source, droppable=0.001)
    assert left.boxes.num_rows == 999
    assert left.images.num_rows == kept.images.num_rows
    assert kept.content_hash != left.content_hash
    found = findings(left, tmp_path)
    assert not [f for f in found if f.severity == "critical"]
    (dropped,) = [f for f in found if "bad_boxes" in f.fault]
    assert (dropped.severity, dropped.count, len(dropped.where)) == ("warning", 1, 1)
    assert dropped.where[0].endswith("in data/annotations.json annotation 0 (data/images/1.jpg)")


def findings(snapshot, folder):
    return validate(snapshot, LABELS, (), 0, folder)


def test_each_is_listed(coco, tmp_path):
    source = [Source(coco(annotations=boxes([[]] * 30)), "train")]
    (dropped,) = [
        f
        for f in findings(take_snapshot(source, droppable=0.03), tmp_path)
        if "bad_boxes" in f.fault
    ]
    assert len(dropped.where) == 30


def test_more_than_the_share_end_the_run(coco):
    source = [Source(coco(annotations=boxes([[], [5, 5, 0, 9]])), "train")]
    with pytest.raises(DataError) as error:
        take_snapshot(source, droppable=0.001)
    assert "2 of 1,000 boxes (0.20%)" in str(error.value)
    assert "annotation 0" in str(error.value)
    assert "at most 0.10%" in str(error.value)


def test_a_memory_knows_what_was_asked(coco, tmp_path):
    source = [Source(coco(annotations=boxes([[]])), "train")]
    counts = [
        take_snapshot(source, tmp_path / "memory", droppable=share).boxes.num_rows
        for share in (0.0, 0.001, 0.001, 0.0)
    ]
    assert counts == [1000, 999, 999, 1000]


@pytest.mark.parametrize(
    ("settings", "share"),
    [({}, 0), ({"bad_boxes": "drop"}, 0.001), ({"bad_boxes": "drop", "max_bad_boxes": 0.1}, 0.1)],
)
def test_the_settings(settings, share):
    assert DataSettings(root="x", sources=(), **settings).droppable() == share
