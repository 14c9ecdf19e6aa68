"""The losses that a recipe can switch on, and the same step on several devices."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf

from classlift.detectors.backends import load_detector
from classlift.detectors.detector import ChampionOutputs
from classlift.detectors.freeze import frozen_names
from classlift.errors import ConfigError, ModelError
from classlift.settings.recipe import Recipe
from classlift.training.devices import strategy_for
from classlift.training.step import Teacher, TrainingStep
from tests.classlift.conftest import DEMO_MODEL
from tests.classlift.training.test_training import batches_for_every_level
from tests.project import ROOT

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def teacher():
    return load_detector("od_api", DEMO_MODEL)


@pytest.fixture
def batch(detector):
    return next(batches_for_every_level(detector, "8", batch_size=2))


@pytest.fixture
def restored(detector):
    """The detector, put back as it was."""
    before = {name: v.numpy() for name, v in detector.variables().items()}
    yield detector
    for name, variable in detector.variables().items():
        variable.assign(before[name])
    detector.set_focal(None, None)
    detector.freeze(frozenset())


def test_distillation_is_zero_for_the_champions_own_answers(detector, teacher, batch):
    outputs = teacher.outputs(batch.images)
    detector.freeze(frozen_names("none", list(detector.variables())))
    champion_outputs = ChampionOutputs(outputs, frozenset({9}))
    from classlift.detectors.od_api.distillation import distillation

    assert float(distillation(*outputs, champion_outputs, first=1)) == 0
    boxes, scores = outputs
    other = tf.concat([scores[..., :3], scores[..., 3:4] + 1, scores[..., 4:]], axis=-1)
    assert float(distillation(boxes, other, champion_outputs, first=1)) > 0
    target = tf.concat([scores[..., :9], scores[..., 9:10] + 1, scores[..., 10:]], axis=-1)
    assert (
        float(distillation(boxes, target, champion_outputs, first=1)) == 0
    )  # it may change freely


def test_distillation_and_l2_join_the_losses(restored, teacher, batch):
    policy = "all-but-class-head"
    names = list(restored.variables())
    trained = restored.freeze(frozen_names(policy, names))
    teacher.freeze(frozen_names(policy, names))
    recipe = Recipe(policy, steps=9, batch_size=2, distillation=2.0, l2_to_start=5.0)
    step = TrainingStep(restored, trained, recipe, Teacher(teacher, frozenset({"8"})))
    first, second = (step((), batch) for _ in range(2))
    assert {"class", "box", "regularization", "distillation", "l2_to_start"} == set(first)
    assert float(first["l2_to_start"]) == 0  # nothing has moved yet
    assert float(second["l2_to_start"]) > 0
    assert float(second["distillation"]) > 0


def test_distillation_needs_a_teacher(detector):
    with pytest.raises(ModelError, match="needs the champion"):
        TrainingStep(detector, {}, Recipe("none", distillation=1.0))


def test_focal_parameters(restored, batch):
    losses = []
    for gamma, alpha in ((None, None), (0.0, None), (None, 0.75), (2.0, 0.25)):
        restored.set_focal(gamma, alpha)
        losses.append(float(restored.losses(batch)["class"]))
    own, flat, shifted, same = losses
    assert flat > own  # gamma makes easy examples count less
    assert shifted != own
    assert same == own  # the demo's config


def test_a_gpu_that_is_not_there_is_an_error():
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigError, match="sees none on this machine"):
        strategy_for("gpu")
    assert strategy_for("cpu").num_replicas_in_sync == 1
    assert strategy_for("auto").num_replicas_in_sync == 1


TWO_DEVICES = textwrap.dedent(
    """
    import os, sys
    from classlift.detectors import od_api
    os.environ.update(od_api.ENVIRONMENT)
    import numpy as np
    import tensorflow as tf
    cpus = tf.config.list_physical_devices("CPU")
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpus[0], two)
    from pathlib import Path
    from classlift.detectors.freeze import frozen_names
    from classlift.settings.freeze import BRANCH_PARTS
    from classlift.detectors.backends import load_detector
    from classlift.settings.recipe import Recipe
    from classlift.training.step import TrainingStep
    from tests.classlift.training.test_training import batches_for_every_level

    tf.keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    one, both = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    for strategy in (one, both):
        with strategy.scope():
            detector = load_detector("od_api", Path(sys.argv[1]))
            detector.grow_branches(["8"], BRANCH_PARTS["target-branch"])
            names, branches = list(detector.variables()), detector.trained_branches
            trained = detector.freeze(frozen_names("target-branch", names, branches))
            step = TrainingStep(detector, trained, Recipe(batch_size=4, steps=9))
            batches = batches_for_every_level(detector, "8", 4)
            for _ in range(3):
                losses = step((), next(batches))
                print(strategy.num_replicas_in_sync, *(float(v) for v in losses.values()))
    """
)


def test_two_devices_train_as_one():
    """Two virtual devices, half of each batch on each: the same losses, step after step."""
    found = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES, str(DEMO_MODEL)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-2000:]
    rows = np.array([line.split() for line in found.stdout.splitlines()], float)
    assert rows[:, 0].tolist() == [1, 1, 1, 2, 2, 2]
    np.testing.assert_allclose(rows[3:, 1:], rows[:3, 1:], rtol=1e-4)
    assert rows[1, 1] != rows[0, 1]  # something was learned


def test_a_batch_that_no_devices_share_evenly_is_refused(detector, monkeypatch):
    class Three:
        num_replicas_in_sync = 3

    monkeypatch.setattr(tf.distribute, "get_strategy", Three)
    with pytest.raises(ConfigError, match="make batch_size a multiple of 3"):
        TrainingStep(detector, {}, Recipe("none", batch_size=32))
