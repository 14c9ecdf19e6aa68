"""The demo's real detector, and Examples of a few of its scenes."""

from pathlib import Path

import pytest

from components.dataset.snapshot import Source, take_snapshot
from components.detectors.examples import example_files
from components.rebalanced_example_gen.rebalance import Rebalancing
from components.rebalanced_example_gen.write import write_examples
from demo import scenes
from tests.components.conftest import quiet

ROOT = Path(__file__).resolve().parents[3]
DEMO_MODEL = ROOT / "demo" / "model"


@pytest.fixture(scope="session")
def detector():
    """The pre-trained demo model, fresh from disk; tests that train it restore it."""
    from components.detectors.od_api.ssd import SsdDetector

    return SsdDetector.load(DEMO_MODEL)


@pytest.fixture(scope="session")
def examples(tmp_path_factory) -> Path:
    """Examples of 40 old, 40 new, 16 eval and 16 test scenes, as the pipeline writes them."""
    from components.dataset.label_map import LabelMap

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
        take_snapshot(sources, quiet),
        LabelMap.read(DEMO_MODEL / "label_map.pbtxt"),
        Rebalancing(),
        folder,
        quiet,
    )
    return folder


@pytest.fixture(scope="session")
def train_files(examples) -> list[str]:
    return example_files(examples, "train")
