from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from classlift.data.checksums import seal
from classlift.data.predictions import Predictions
from classlift.errors import EvaluationError
from tests.classlift.conftest import boxes_table, detections_table

pytestmark = pytest.mark.unit


def one(image_id, label):
    return Predictions(
        (image_id, f"{image_id} empty"),
        boxes_table([(image_id, label, 0, 0, 1, 1)]),
        detections_table([(image_id, label, 0.5, 0, 0, 1, 1)]),
    )


def test_what_is_read_is_what_was_written(tmp_path):
    joined = Predictions.join([one("a", "car"), one("b", "tram")])
    joined.write(tmp_path)
    found = Predictions.read(tmp_path)
    assert found.image_ids == ("a", "a empty", "b", "b empty")
    assert found.boxes.equals(joined.boxes)
    assert found.detections.equals(joined.detections)
    assert found.boxes["label"].to_pylist() == ["car", "tram"]


def test_no_parts_are_an_empty_split(tmp_path):
    Predictions.join([]).write(tmp_path)
    assert Predictions.read(tmp_path).image_ids == ()


def test_missing_and_damaged_predictions_are_an_error(tmp_path):
    with pytest.raises(EvaluationError, match="can't be read"):
        Predictions.read(tmp_path / "nowhere")
    one("a", "car").write(tmp_path)
    file = tmp_path / "detections.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(EvaluationError, match="run the pipeline again"):
        Predictions.read(tmp_path)


def test_no_flipped_bit_goes_unnoticed(tmp_path):
    """Parquet alone reads most of them as other tables."""
    Predictions.join([one(str(number), "car") for number in range(20)]).write(tmp_path)
    files = [*tmp_path.iterdir()]
    assert len(files) == 4
    rng = np.random.default_rng(1)
    for file in files:
        whole = file.read_bytes()
        for place in rng.integers(len(whole), size=50):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << rng.integers(8)
            file.write_bytes(damaged)
            with pytest.raises(EvaluationError, match="the predictions are damaged"):
                Predictions.read(tmp_path)
        file.write_bytes(whole)
    assert len(Predictions.read(tmp_path).image_ids) == 40


@pytest.mark.parametrize("score", [-0.1, 1.5, 8.0, float("nan"), float("inf"), 1e30])
def test_scores_that_are_none_are_refused_where_they_are_read_and_written(tmp_path, score):
    sound = one("a", "car")
    rows = [("a", "car", 0.5, 0, 0, 1, 1), ("a", "tram", score, 0, 0, 1, 1)]
    broken = replace(sound, detections=detections_table(rows))
    words = r"Image a: a detection of class tram has the score .* a score is from 0 to 1"
    with pytest.raises(EvaluationError, match=words):
        broken.write(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    sound.write(tmp_path / "old")
    pq.write_table(broken.detections, tmp_path / "old" / "detections.parquet")
    seal(tmp_path / "old", [path.name for path in (tmp_path / "old").glob("*.parquet")])
    with pytest.raises(EvaluationError, match=words):
        Predictions.read(tmp_path / "old")


def test_the_ends_of_the_range_are_scores(tmp_path):
    rows = [("a", "car", score, 0, 0, 1, 1) for score in (0.0, 1.0)]
    replace(one("a", "car"), detections=detections_table(rows)).write(tmp_path)
    assert Predictions.read(tmp_path).detections["score"].to_pylist() == [0.0, 1.0]
