"""Real data sets, by others, from labels to records; skipped where they are not there."""

from collections import Counter
from pathlib import Path

import pytest

from classlift.data.formats import read_labels
from classlift.data.label_map import LabelMap
from classlift.data.snapshot import Source, take_snapshot
from classlift.examples.write import write_examples
from classlift.quality.validate import require_no_critical, validate
from classlift.settings.rebalancing import Rebalancing

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.pipeline,
    pytest.mark.skipif(not SHARED.exists(), reason="the shared data sets are not here"),
]
HELMETS = ("Safety Helmet", "No Safety Helmet")
STREETS = ("vehicle", "traffic_light", "bike", "traffic_sign", "motobike")


@pytest.mark.parametrize(
    ("path", "group", "target", "labels", "images"),
    [
        ("carla", r"^(Town\d+)_", "motobike", STREETS, 1028),  # five towns: whole ones in a split
        ("carla", None, "motobike", STREETS, 1028),
        ("hardhat", None, "No Safety Helmet", HELMETS, 181),
        ("hardhat/val.record", None, "No Safety Helmet", HELMETS, 19),
    ],
)
def test_from_labels_to_records(tmp_path, path, group, target, labels, images):
    snapshot = take_snapshot([Source(SHARED / path, group=group)])
    assert snapshot.images.num_rows == images
    require_no_critical(validate(snapshot, labels, [target], 1, tmp_path / "docs"), tmp_path)
    plan = Rebalancing("none", replay_share=0.0)
    write_examples(snapshot, LabelMap(labels), plan, tmp_path / "records")
    written = Counter()
    for split in ("train", "eval", "test"):
        back = read_labels(tmp_path / "records" / f"Split-{split}", "tfrecord")
        written.update(image.file_name for image in back.images)
        written.update(box.label for box in back.boxes)
    expected = Counter(snapshot.images["image_id"].to_pylist())
    expected.update(snapshot.boxes["label"].to_pylist())
    assert written == expected
    if group:
        sides = {}
        for row in snapshot.images.to_pylist():
            sides.setdefault(row["image_id"].split("_")[0], set()).add(row["split"])
        assert all(len(found) == 1 for found in sides.values())
        assert len(set().union(*sides.values())) == 3
