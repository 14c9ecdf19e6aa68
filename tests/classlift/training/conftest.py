import shutil

import pytest

from classlift.data.units import Units, write_units
from classlift.serving.bundle import Bundle
from classlift.serving.write import write_entry
from classlift.settings.freeze import BRANCH_PARTS, TARGET_BRANCH
from classlift.settings.gate import GateSettings
from classlift.settings.recipe import Recipe
from classlift.training.run import TrainingTask
from tests.classlift.training.test_recalibrate import REBALANCED


@pytest.fixture
def branched(detector):
    """With a branch of 8, until the test has ended."""
    detector.grow_branches(["8"], BRANCH_PARTS[TARGET_BRANCH])
    yield detector
    detector.drop_branches()
    detector.freeze(frozenset())


@pytest.fixture
def task(detector, examples, tmp_path):
    """Two steps of training, to raise 9."""
    shutil.copytree(examples, tmp_path / "examples")
    REBALANCED.write(tmp_path / "examples")
    write_units(Units({}, {}, {}), tmp_path / "examples")
    champion = Bundle(tmp_path / "champion")
    champion.entry.mkdir(parents=True)
    write_entry(detector, champion)
    return TrainingTask(
        recipe=Recipe(steps=2, batch_size=2, cached_batches=0, evaluations=0),
        backend="od_api",
        targets=("9",),
        settings=GateSettings(score_threshold=0.5),
        champion=champion.saved_model,
        examples=tmp_path / "examples",
        challenger=tmp_path / "challenger",
        board=tmp_path / "board",
        work=tmp_path / "work",
        code_version="c",
        thresholds={},
        curves=tmp_path / "curves.json",
    )
