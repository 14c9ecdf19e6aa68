"""What is written as Examples: eval and test untouched, and a contract that TFDV checks."""

import dataclasses
import importlib

import pyarrow as pa
import pytest

from classlift.data import schema
from classlift.data.label_map import LabelMap
from classlift.detectors.examples import example_files, labelled_boxes, read_examples
from classlift.errors import DataError
from classlift.examples.write import write_examples
from classlift.settings.rebalancing import Rebalancing
from classlift.transforms import LOCAL_OPTIONS

pytestmark = pytest.mark.pipeline
LABEL_MAP = LabelMap(("car", "scooter"))


def read(folder, split):
    ids, boxes = [], []
    for parsed in read_examples(example_files(folder, split), 4):
        ids += [i.decode() for i in parsed["image/source_id"].numpy()]
        boxes += labelled_boxes(parsed).to_pylist()
    return ids, boxes


def test_eval_and_test_are_never_touched(snapshot, tmp_path):
    plan = Rebalancing(repeat_threshold=1.0, replay_share=0.0, max_growth=10.0)
    rebalanced = write_examples(snapshot, LABEL_MAP, plan, tmp_path / "out")
    for split in ("eval", "test"):
        ids, boxes = read(tmp_path / "out", split)
        assert ids == [f"{split}/images/{n}.jpg" for n in (1, 2)]
        labelled = [b for b in snapshot.boxes.to_pylist() if b["image_id"].startswith(split)]
        for ours, theirs in zip(boxes, labelled, strict=True):
            for side in ("xmin", "ymin", "xmax", "ymax"):
                assert ours[side] == pytest.approx(theirs[side], abs=1e-5)
            assert ours["label"] == theirs["label"]
    train = read(tmp_path / "out", "train")[0]
    assert len(train) > 2  # each class is in half of the images, so each repeats 1.4 times
    assert sum(rebalanced.boxes_after.values()) == len(train)


def test_a_file_that_changed_since_the_snapshot_is_an_error(snapshot, tmp_path):
    uri = snapshot.images.to_pylist()[0]["uri"]
    with open(uri, "ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match="changed since the snapshot"):
        write_examples(snapshot, LABEL_MAP, Rebalancing(), tmp_path / "out")


@pytest.mark.parametrize(
    ("values", "feature"),
    [
        ({}, None),  # as it should be
        ({"xmax": 44.0}, "image/object/bbox/xmax"),  # 1.1 of the width
        ({"ymin": -3.0}, "image/object/bbox/ymin"),
        ({"label": "tram"}, "image/object/class/text"),
    ],
)
def test_the_curated_schema_finds_bad_examples(snapshot, tmp_path, values, feature):
    """The contract of the records, checked with TFDV as ExampleValidator does."""
    importlib.import_module("tfx.v1")  # first: it stands in for a module that TFDV 1.16 asks for
    import tensorflow_data_validation as tfdv

    from pipelines.compile import curated_schema

    rows = snapshot.boxes.to_pylist()
    rows[0].update(values)
    damaged = dataclasses.replace(snapshot, boxes=pa.Table.from_pylist(rows, schema.BOXES))
    wide = LabelMap((*LABEL_MAP, "tram"))  # so that the writer lets it through
    write_examples(damaged, wide, Rebalancing(), tmp_path / "out")
    statistics = tfdv.generate_statistics_from_tfrecord(
        str(tmp_path / "out" / "Split-train" / "*"),
        pipeline_options=pipeline_options(),
    )
    anomalies = tfdv.validate_statistics(statistics, curated_schema(LABEL_MAP)).anomaly_info
    if feature is None:
        assert not anomalies
    else:
        assert feature in anomalies


def pipeline_options():
    from apache_beam.options.pipeline_options import PipelineOptions

    return PipelineOptions(list(LOCAL_OPTIONS))
