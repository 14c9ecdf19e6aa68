import dataclasses

import pyarrow as pa
import pytest

from components.data_validator.validate import require_no_critical, validate
from components.dataset import schema
from components.errors import DataError
from tests.components.conftest import quiet

pytestmark = pytest.mark.unit
LABELS = ("car", "scooter")


def damaged(snapshot, row, **values):
    rows = snapshot.boxes.to_pylist()
    rows[row].update(values)
    return dataclasses.replace(snapshot, boxes=pa.Table.from_pylist(rows, schema.BOXES))


def test_good_data_pass_and_docs_are_written(snapshot, tmp_path):
    findings = validate(snapshot, LABELS, "scooter", 1, tmp_path / "docs", quiet)
    # the same two noise pictures are in all splits, which is worth a warning
    assert {f.severity for f in findings} <= {"warning"}
    require_no_critical(findings, tmp_path)
    assert (tmp_path / "docs" / "index.html").exists()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"xmax": 41.0}, "xmax <= width"),
        ({"ymax": 30.5}, "ymax <= height"),
        ({"xmin": -1.0}, "xmin >= 0"),
        ({"ymin": float("-inf")}, "ymin >= 0"),
        ({"xmin": 12.0, "xmax": 11.0}, "xmax > xmin"),
        ({"ymin": 5.0, "ymax": 5.0}, "ymax > ymin"),
        ({"xmax": float("nan")}, "xmax of a box is a number"),
        ({"label": "zebra"}, "in the label map: label zebra"),
        ({"label": ""}, "in the label map"),
    ],
)
def test_bad_boxes_stop_with_file_record_and_rule(snapshot, tmp_path, values, sentence):
    findings = validate(damaged(snapshot, 0, **values), LABELS, "scooter", 1, tmp_path, quiet)
    named = [f.sentence() for f in findings if f.severity == "critical"]
    assert any(sentence in s for s in named)
    assert any("train/annotations.json annotation 1 (train/images/1.jpg)" in s for s in named)
    with pytest.raises(DataError, match="The data break a rule"):
        require_no_critical(findings, tmp_path)


def test_too_few_target_boxes_say_how_many_there_are(snapshot, tmp_path):
    findings = validate(snapshot, LABELS, "scooter", 7, tmp_path, quiet)
    sentences = [f.sentence() for f in findings if f.severity == "critical"]
    assert sentences == [
        f"class scooter has at least 7 boxes in {split}: there are 1"
        for split in ("train", "eval", "test")
    ]


def test_image_problems_are_critical(snapshot, tmp_path):
    problem = {"image_id": "train/images/1.jpg", "source": "train/a.json image 1", "problem": "p"}
    broken = dataclasses.replace(
        snapshot, problems=pa.Table.from_pylist([problem], snapshot.problems.schema)
    )
    findings = validate(broken, LABELS, "scooter", 1, tmp_path, quiet)
    with pytest.raises(DataError, match=r"p: train/a.json image 1 \(train/images/1.jpg\)"):
        require_no_critical(findings, tmp_path)


def test_an_empty_table_does_not_pass(snapshot, tmp_path):
    empty = dataclasses.replace(snapshot, boxes=snapshot.boxes.slice(0, 0))
    findings = validate(empty, LABELS, "scooter", 1, tmp_path, quiet)
    with pytest.raises(DataError, match="The data break a rule"):
        require_no_critical(findings, tmp_path)
