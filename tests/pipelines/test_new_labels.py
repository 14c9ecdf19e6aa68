import pyarrow as pa
import pytest

from classlift.data import schema
from classlift.data.snapshot import Snapshot
from pipelines.compile import topology_of
from pipelines.new_labels import new_objects

pytestmark = pytest.mark.unit


def snapshot(*boxes: tuple[str, str, str, float]) -> Snapshot:
    """One box a row: content of the image, split, label, xmin."""
    images = {content: split for content, split, *_ in boxes}
    rows = [
        {"image_id": f"id of {content}", "sha256": content, "split": split}
        for content, split in images.items()
    ]
    image_table = pa.Table.from_pylist(rows, schema.IMAGES)
    labelled = [
        {"image_id": f"id of {content}", "label": label, "xmin": x, "ymin": 0, "xmax": 9, "ymax": 9}
        for content, _, label, x in boxes
    ]
    return Snapshot(image_table, pa.Table.from_pylist(labelled, schema.BOXES), pa.table({}), "")


A, B = ("a", "train", "8", 1.0), ("b", "train", "8", 1.0)


@pytest.mark.parametrize(
    ("now", "before", "count"),
    [
        ([A, B], [A], 1),  # an image was added
        ([A, ("a", "train", "8", 2.0)], [A], 1),  # an object was added to a known image
        ([A], [A], 0),
        ([A], [A, B], 0),  # objects were taken away
        ([A, ("b", "train", "3", 1.0)], [A], 0),  # of another class
        ([A, ("b", "eval", "8", 1.0)], [A], 0),  # not to train on
        ([A], [("a", "eval", "8", 1.0)], 1),  # it is to train on now
        ([A, B], [("c", "train", "3", 1.0)], 2),
    ],
)
def test_counts_the_targets_training_objects_that_were_not_there(now, before, count):
    assert new_objects(snapshot(*now), snapshot(*before), ["8"]) == count


def test_says_so_when_there_is_no_snapshot(runs, monkeypatch, capsys):
    from pipelines import new_labels

    folder = runs.config.work / "compiled"
    folder.mkdir(parents=True)
    topology_of(runs.config).write(folder)
    runs.add("another")
    words = ["new_labels", "--compiled", str(folder), "--run-id", "unknown"]
    monkeypatch.setattr("sys.argv", words)
    assert new_labels.main() == 78
    assert "Run unknown has no ClassLiftSnapshot" in capsys.readouterr().out
