"""`rebalancing.json` and what is said of it."""

import json

import pytest

from classlift.data.profile import Profile
from classlift.data.snapshot import SnapshotFacts
from classlift.errors import DataError
from classlift.examples.rebalanced import FILE, Rebalanced, TrainingData
from classlift.settings.rebalancing import Rebalancing

pytestmark = pytest.mark.unit
REBALANCED = Rebalanced(
    method="repeat_factor",
    factors={"car": 1.0, "scooter": 2.5},
    share_of_images_repeated=0.25,
    effective_sample_size=31.6,
    boxes_before={"car": 90, "scooter": 10},
    boxes_old={"car": 40},
    boxes_after={"car": 120, "scooter": 25},
    pasted=7,
    data=TrainingData(
        Profile({"car": 100}, {"below 1%": 100}),
        SnapshotFacts("5f", images=40, boxes=100),
        Rebalancing(targets=("scooter",)),
        {"car": 90, "scooter": 10},
    ),
)


def test_what_is_written_is_read(tmp_path):
    REBALANCED.write(tmp_path)
    assert Rebalanced.read(tmp_path) == REBALANCED
    record = json.loads((tmp_path / FILE).read_text())
    assert list(record) == [
        *("method", "factors", "share_of_images_repeated", "effective_sample_size"),
        *("boxes_before", "boxes_old", "boxes_after", "pasted", "data"),
    ]
    assert list(record["data"]) == ["profile", "snapshot", "rebalancing", "trained_on"]
    assert record["data"]["rebalancing"]["targets"] == ["scooter"]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"data": {"profile": 1}}'])
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(DataError, match=r"rebalancing.json: it is missing or damaged"):
        Rebalanced.read(tmp_path)


def test_what_is_said():
    assert REBALANCED.sentences() == [
        "boxes in train, before and after: car 90 -> 120, scooter 10 -> 25",
        "25% of the images repeat; effective sample size 32; 7 objects pasted",
    ]
