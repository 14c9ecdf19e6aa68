import filecmp
import shutil
from types import SimpleNamespace

import pytest

from classlift.data.examples import example_files
from classlift.data.profile import Profile
from classlift.data.snapshot import SnapshotFacts
from classlift.data.units import Units, write_units
from classlift.environment import CURVES_VARIABLE
from classlift.examples.rebalanced import Rebalanced, TrainingData
from classlift.serving.bundle import Bundle
from classlift.serving.write import import_entry
from classlift.settings.gate import GateSettings
from classlift.settings.rebalancing import Rebalancing
from classlift.settings.recipe import Recipe
from classlift.training.thresholds import thresholds_to_serve
from components.trainer import run_fn
from tests.classlift.conftest import DEMO_MODEL

pytestmark = pytest.mark.pipeline
SNAPSHOT = SnapshotFacts("5f", images=2, boxes=3)
REBALANCED = Rebalanced(
    "none", {}, 0.0, 2.0, {}, {}, {}, 0, TrainingData(Profile({}, {}), SNAPSHOT, Rebalancing(), {})
)


def test_the_threshold_of_the_target_moves_and_nothing_else(
    detector, examples, tmp_path, monkeypatch
):
    monkeypatch.setenv(CURVES_VARIABLE, str(tmp_path / "curves.json"))
    champion = import_entry(detector, DEMO_MODEL, tmp_path / "champion")
    shutil.copytree(examples, tmp_path / "examples")
    REBALANCED.write(tmp_path / "examples")
    write_units(Units({}, {}, {}), tmp_path / "examples")
    run_fn(
        SimpleNamespace(
            hyperparameters=Recipe(recalibrate=True).to_dict(),
            custom_config={
                "backend": "od_api",
                "targets": ["9"],
                "precision": 0.8,
                "operating_points": "measured",
                "thresholds": "matched",  # it moves no other class's all the same
                "score_threshold": None,
                "code_version": "c",
                "work": str(tmp_path / "work"),
            },
            model_run_dir=str(tmp_path / "board"),
            base_model=str(champion.saved_model),
            serving_model_dir=str(tmp_path / "challenger"),
            train_files=example_files(tmp_path / "examples", "train"),
        )
    )
    assert not (tmp_path / "curves.json").exists()  # for nothing was trained
    challenger = Bundle(tmp_path / "challenger")
    before, after = champion.operating_points(), challenger.operating_points()
    assert {label for label in before if before[label] != after[label]} == {"9"}
    assert challenger.is_recalibrated()
    assert challenger.provenance().snapshot == vars(SNAPSHOT)
    assert challenger.provenance().thresholds == {"precision": 0.8, "operating_points": "measured"}
    assert not champion.is_recalibrated()
    weights = [path.relative_to(champion.saved_model) for path in champion.saved_model.rglob("*")]
    _, different, missing = filecmp.cmpfiles(
        champion.saved_model,
        challenger.saved_model,
        [str(path) for path in weights if (champion.saved_model / path).is_file()],
        shallow=False,
    )
    assert {name.rpartition("/")[2] for name in different} <= {"operating_points.json"}
    assert missing == []

    # Of a training that changed nothing, the other classes keep their thresholds too; and so does
    # the target where eval, as here of 8, has no object of it.
    eval_files = example_files(tmp_path / "examples", "eval")
    for policy, target, fixed, expected in (
        ("target-branch", "9", None, after),
        ("none", "9", None, after),
        ("target-branch", "8", None, before),
        ("none", "9", 0.3, dict.fromkeys(before, 0.3)),
    ):
        settings = GateSettings(precision=0.8, thresholds="keep", score_threshold=fixed)
        recipe = Recipe(freeze_policy=policy)
        points = thresholds_to_serve(eval_files, {}, recipe, settings, {target}, champion, champion)
        assert points == expected
