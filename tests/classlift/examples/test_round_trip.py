"""COCO to the OD API's records and back to COCO: the same boxes to the float32."""

import sys

import numpy as np
import pytest

from classlift import cli
from classlift.data.formats import read_labels
from classlift.data.label_map import LabelMap
from classlift.data.media import read_bytes
from classlift.data.snapshot import Source, take_snapshot
from classlift.data.writers import write_coco_folder
from classlift.examples.write import write_examples
from classlift.settings.rebalancing import Rebalancing
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
    first = take_snapshot(sources)
    write_examples(first, label_map, Rebalancing(), tmp_path / "records")

    record = next((tmp_path / "records" / "Split-test").iterdir())
    second = take_snapshot([Source(record, "test", format="tfrecord")])
    (tmp_path / "back").mkdir()
    write_coco_folder(second.images, second.boxes, label_map, tmp_path / "back")
    back = read_labels(tmp_path / "back" / "annotations.json")

    original = read_labels(tmp_path / "test" / "annotations.json")
    assert [box.label for box in back.boxes] == [box.label for box in original.boxes]
    ours, theirs = (
        np.array([box.box for box in labels.boxes], np.float32) for labels in (back, original)
    )
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=128 * np.finfo(np.float32).eps)
    assert second.images["sha256"].to_pylist() == [
        row["sha256"] for row in first.images.to_pylist() if row["split"] == "test"
    ]


def test_coco_parquet_record_coco_by_command(tmp_path, monkeypatch, capsys):
    """The same data through all formats, each written by `classlift convert`."""
    scenes.write_split(scenes.TEST, tmp_path / "scenes", 20)
    source = tmp_path / "scenes" / "annotations.json"
    scenes_map = tmp_path / "map.pbtxt"
    LabelMap(scenes.CLASSES).write(scenes_map)
    path = source
    for kind, name in (("parquet", "."), ("tfrecord", "data.record"), ("coco", "annotations.json")):
        new = tmp_path / kind
        words = ["convert", str(path), "--to", kind, str(new), "--label-map", str(scenes_map)]
        monkeypatch.setattr(sys, "argv", ["classlift", *words])
        assert cli.main() == 0, capsys.readouterr()
        path = new / name
    original, back = read_labels(source), read_labels(path)
    assert [b.label for b in back.boxes] == [b.label for b in original.boxes]
    ours, theirs = (np.array([b.box for b in x.boxes], np.float32) for x in (back, original))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=128 * np.finfo(np.float32).eps)
    assert [read_bytes(i.uri) for i in back.images] == [read_bytes(i.uri) for i in original.images]
