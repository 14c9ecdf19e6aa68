"""Small data sets in memory and on disk; the demo's real detector, and Examples of its scenes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from classlift.data import schema
from classlift.data.snapshot import Snapshot, Source, take_snapshot
from classlift.detectors.examples import example_files
from classlift.examples.write import write_examples
from classlift.settings.rebalancing import Rebalancing
from demo import scenes

ROOT = Path(__file__).resolve().parents[2]
DEMO_MODEL = ROOT / "demo" / "model"


@pytest.fixture
def coco(tmp_path: Path) -> Callable[..., Path]:
    """Writes a COCO data set: two 40x30 images, two classes; arguments replace parts of it."""

    def write(name: str = "data", **parts: Any) -> Path:
        folder = tmp_path / name
        (folder / "images").mkdir(parents=True)
        for number in (1, 2):
            picture = Image.effect_noise((40, 30), 50 + number).convert("RGB")
            picture.save(folder / "images" / f"{number}.jpg")
        document = {
            "images": [
                {"id": n, "file_name": f"images/{n}.jpg", "width": 40, "height": 30} for n in (1, 2)
            ],
            "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "scooter"}],
            "annotations": [
                {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 20]},
                {"id": 2, "image_id": 2, "category_id": 2, "bbox": [5, 5, 8.5, 9.25]},
            ],
            **parts,
        }
        path = folder / "annotations.json"
        path.write_text(json.dumps(document))
        return path

    return write


@pytest.fixture
def snapshot(coco: Callable[..., Path]) -> Snapshot:
    """The small COCO data set three times, once for each split."""
    sources = [Source(coco(split), split) for split in ("train", "eval", "test")]
    return take_snapshot(sources)


def boxes_table(rows: list[tuple[str, str, float, float, float, float]]) -> pa.Table:
    """`schema.BOXES` from (image_id, label, xmin, ymin, xmax, ymax) rows."""
    names = ("image_id", "label", "xmin", "ymin", "xmax", "ymax")
    extra = {"is_crowd": False, "difficult": False}
    return pa.Table.from_pylist(
        [
            {**dict(zip(names, row, strict=True)), **extra, "box_id": i, "source": f"row {i}"}
            for i, row in enumerate(rows)
        ],
        schema.BOXES,
    )


def detections_table(rows: list[tuple[str, str, float, float, float, float, float]]) -> pa.Table:
    """`schema.DETECTIONS` from (image_id, label, score, xmin, ymin, xmax, ymax) rows."""
    names = schema.DETECTIONS.names
    return pa.Table.from_pylist(
        [dict(zip(names, row, strict=True)) for row in rows], schema.DETECTIONS
    )


@pytest.fixture(scope="session")
def detector():
    """The pre-trained demo model, fresh from disk; tests that train it restore it."""
    from classlift.detectors.backends import load_detector

    return load_detector("od_api", DEMO_MODEL)


@pytest.fixture(scope="session")
def examples(tmp_path_factory) -> Path:
    """Examples of 40 old, 40 new, 16 eval and 16 test scenes, as the pipeline writes them."""
    from classlift.data.label_map import LabelMap

    root = tmp_path_factory.mktemp("scenes")
    sources = []
    for split, name, count in (
        (scenes.OLD, "train", 40),
        (scenes.NEW, "train", 40),
        (scenes.EVAL, "eval", 16),
        (scenes.TEST, "test", 16),
    ):
        scenes.write_split(split, root / split.name, count)
        tag = "old" if split is scenes.OLD else "new"
        sources.append(Source(root / split.name / "annotations.json", name, tag))
    folder = root / "examples"
    write_examples(
        take_snapshot(sources),
        LabelMap.read(DEMO_MODEL / "label_map.pbtxt"),
        Rebalancing(),
        folder,
    )
    return folder


@pytest.fixture(scope="session")
def train_files(examples) -> list[str]:
    return example_files(examples, "train")
