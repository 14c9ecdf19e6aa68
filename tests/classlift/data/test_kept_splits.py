"""A lost memory moves no image from test into train: the served versions know the splits."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classlift.data import kept_splits
from classlift.data.snapshot import Source, take_snapshot
from classlift.serving.folder import served_entries

pytestmark = pytest.mark.unit
STEPS = (12, 20, 32)
"""How many images there are, each time that data have arrived."""


def write_data(folder: Path, count: int) -> Source:
    """`count` images of noise, each with a box; those that are there stay as they are."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images, boxes = [], []
    for number in range(1, count + 1):
        path = folder / "images" / f"{number}.png"
        if not path.exists():
            pixels = np.random.default_rng(number).integers(0, 256, (24, 24, 3), np.uint8)
            Image.fromarray(pixels).save(path)
        images.append({"id": number, "file_name": f"images/{path.name}", "width": 24, "height": 24})
        box = {"bbox": [2, 2, 9, 9], "area": 81, "iscrowd": 0}
        boxes.append({"id": number, "image_id": number, "category_id": number % 3 + 1, **box})
    labels = [{"id": number, "name": name} for number, name in enumerate("abc", 1)]
    document = {"images": images, "annotations": boxes, "categories": labels}
    (folder / "annotations.json").write_text(json.dumps(document))
    return Source(folder / "annotations.json")


def serve(serving: Path, version: int, splits: Path | None) -> Path:
    """A served version that carries the splits of a memory; None for one that carries none."""
    entry = serving / str(version) / "assets.extra"
    entry.mkdir(parents=True)
    (entry.parent / "saved_model.pb").touch()
    if splits:
        kept_splits.hand_on(splits, entry)
    return entry


def splits_of(taken) -> dict[str, str]:
    return dict(zip(*(taken.images[c].to_pylist() for c in ("image_id", "split")), strict=True))


@pytest.fixture
def grown(tmp_path):
    """Data that grew in steps, with a version served after each but the last; what was where."""
    memory, serving = tmp_path / "memory", tmp_path / "served"
    for version, count in enumerate(STEPS[:-1], 1):
        source = write_data(tmp_path / "data", count)
        taken = take_snapshot([source], memory, served=served_entries(serving))
        serve(serving, version, memory)
    shutil.rmtree(memory)
    return tmp_path, splits_of(taken)


def test_no_image_moves_when_the_memory_is_lost(grown, caplog):
    folder, before = grown
    source = write_data(folder / "data", STEPS[-1])
    taken = take_snapshot([source], folder / "memory", served=served_entries(folder / "served"))
    after = splits_of(taken)
    assert {name: after[name] for name in before} == before
    assert set(after.values()) == {"train", "eval", "test"}
    [line] = [line for line in caplog.messages if "restored" in line]
    assert f"those of {len(before)} images were restored from served versions (2, 1)" in line
    alone = splits_of(take_snapshot([source]))  # without what the versions know
    assert any(alone[name] != before[name] for name in before)
    caplog.clear()
    take_snapshot([source], folder / "memory", served=served_entries(folder / "served"))
    assert not [line for line in caplog.messages if "splits" in line]


def test_an_older_version_knows_what_the_newest_does_not(grown, caplog):
    folder, before = grown
    serve(folder / "served", 3, None)
    (folder / "served" / "2" / "assets.extra" / kept_splits.FILE).write_bytes(b"PAR1 damaged")
    source = write_data(folder / "data", STEPS[-1])
    taken = take_snapshot([source], folder / "memory", served=served_entries(folder / "served"))
    first = list(before)[: STEPS[0]]
    assert {name: splits_of(taken)[name] for name in first} == {n: before[n] for n in first}
    assert any("were restored from served versions (1)" in line for line in caplog.messages)


def test_it_is_said_aloud_when_nobody_knows(tmp_path, caplog):
    serve(tmp_path / "served", 5, None)
    source = write_data(tmp_path / "data", STEPS[0])
    take_snapshot([source], tmp_path / "memory", served=served_entries(tmp_path / "served"))
    [line] = [line for line in caplog.messages if "can't be restored" in line]
    assert "version 5 was trained on" in line
    assert "Put the memory back, or name the split of each source." in line


@pytest.mark.parametrize("is_served", [False, True])
def test_nothing_is_said_where_nothing_is_lost(tmp_path, caplog, is_served):
    source = write_data(tmp_path / "data", STEPS[0])
    if is_served:  # each source names its split
        serve(tmp_path / "served", 5, None)
        source = Source(source.path, "train")
    take_snapshot([source], tmp_path / "memory", served=served_entries(tmp_path / "served"))
    assert not [line for line in caplog.messages if "restored" in line]


@pytest.mark.parametrize("published", [("train", "test"), ("train", "val"), ("val", "test")])
def test_splits_that_lack_one_are_given_anew(tmp_path, published):
    """No run came past its validation, so nothing was trained by them."""
    for name in published:
        write_data(tmp_path / "data" / name, STEPS[-1])
    memory, source = tmp_path / "memory", Source(tmp_path / "data")
    assert len(set(splits_of(take_snapshot([source], memory)).values())) == 2
    whole = splits_of(take_snapshot([replace(source, split_from="spread")], memory))
    assert set(whole.values()) == {"train", "eval", "test"}
    assert splits_of(take_snapshot([source], memory)) == whole  # by which a model may have learned
