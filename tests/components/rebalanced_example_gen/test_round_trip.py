"""COCO to the OD API's records and back to COCO: the same boxes to the float32."""

import numpy as np
import pytest

from components.dataset.coco import write_coco
from components.dataset.formats import read_labels
from components.dataset.label_map import LabelMap
from components.dataset.snapshot import Source, take_snapshot
from components.rebalanced_example_gen.rebalance import Rebalancing
from components.rebalanced_example_gen.write import write_examples
from demo import scenes

pytestmark = pytest.mark.pipeline


def test_coco_record_coco(tmp_path):
    for split in (scenes.NEW, scenes.EVAL, scenes.TEST):
        scenes.write_split(split, tmp_path / split.name, 10)
    names = {"new": "train", "eval": "eval", "test": "test"}
    sources = [
        Source(tmp_path / folder / "annotations.json", name) for folder, name in names.items()
    ]
    label_map = LabelMap(scenes.CLASSES)
    first = take_snapshot(sources, lambda _: None)
    write_examples(first, label_map, Rebalancing(), tmp_path / "records", lambda _: None)

    record = next((tmp_path / "records" / "Split-test").iterdir())
    second = take_snapshot([Source(record, "test", format="tfrecord")], lambda _: None)
    write_coco(second.images, second.boxes, label_map, tmp_path / "back.json")
    back = read_labels(tmp_path / "back.json")

    original = read_labels(tmp_path / "test" / "annotations.json")
    assert [box.label for box in back.boxes] == [box.label for box in original.boxes]
    ours, theirs = (
        np.array([box.box for box in labels.boxes], np.float32) for labels in (back, original)
    )
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=128 * np.finfo(np.float32).eps)
    assert second.images["sha256"].to_pylist() == [
        row["sha256"] for row in first.images.to_pylist() if row["split"] == "test"
    ]
