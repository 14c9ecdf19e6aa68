import json
from dataclasses import asdict
from pathlib import Path

import pytest

from classlift.errors import DataError
from classlift.watch import series
from classlift.watch.score import Figures

pytestmark = pytest.mark.unit


def record(version: int = 5, snapshot: str = "a", **more: object) -> series.Scoring:
    return series.Scoring(
        **{
            "time": "2026-01-03T06:00:00+00:00",
            "version": version,
            "snapshot": snapshot,
            "images": 3,
            "classes": {"8": Figures(9, 0.5, 0.4, 0.6, precision=None)},
            **more,
        }
    )


def test_there_is_nothing_before_the_first(tmp_path):
    assert series.read(tmp_path / "series.jsonl") == []


def test_a_version_on_a_snapshot_is_added_once(tmp_path):
    path = tmp_path / "series.jsonl"
    for added, length in (
        (record(), 1),
        (record(images=9), 1),  # again
        (record(version=6), 2),  # another version
        (record(snapshot="b"), 3),  # other data
        (record(version=6), 3),
    ):
        assert len(series.append(path, added)) == length
    assert [(r.version, r.snapshot) for r in series.read(path)] == [
        (5, "a"),
        (6, "a"),
        (5, "b"),
    ]
    assert series.find(series.read(path), 5, "a") == record()
    assert series.find(series.read(path), 7, "a") is None


def test_nothing_is_half_written(tmp_path, monkeypatch):
    path = tmp_path / "series.jsonl"
    series.append(path, record())
    before = path.read_text()

    def half(self: Path, text: str, _: str) -> None:
        with self.open("w") as file:
            file.write(text[: len(text) // 2])
        raise OSError("the disk is full")

    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(OSError, match="the disk is full"):
        series.append(path, record(version=6))
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "7", "{}", json.dumps({**asdict(record()), "classes": None}), ""],
)
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / "series.jsonl"
    path.write_text(f"{json.dumps(asdict(record()))}\n{line}\n")
    with pytest.raises(DataError, match=r"series.jsonl: line 2 is no record of a scoring; mend"):
        series.append(path, record(version=6))
