"""Killed at any step and started again, training ends as it would have."""

import random
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from classlift.training.checkpoints import Checkpoints
from tests.project import ROOT

TRAIN = textwrap.dedent(
    """
    import os, sys
    from functools import partial
    from pathlib import Path
    from classlift.detectors import od_api
    os.environ.update(od_api.ENVIRONMENT)
    import numpy as np
    import tensorflow as tf
    from classlift.progress import configure
    from classlift.training.checkpoints import Checkpoints
    from classlift.training.fit import fit
    from classlift.training.hooks import progress, resume
    from classlift.training.devices import make_reproducible
    from classlift.settings.freeze import BRANCH_PARTS
    from classlift.training.input import training_batches
    from classlift.detectors.backends import load_detector
    from classlift.settings.recipe import Recipe

    model, records, folder, policy, out = sys.argv[1:]
    progress.SECONDS = resume.SECONDS = 0.0
    cached = 4 if policy == "target-branch" else 0
    recipe = Recipe(policy, steps=24, batch_size=4, cached_batches=cached)
    make_reproducible(0)
    detector = load_detector("od_api", Path(model))
    if policy in BRANCH_PARTS:
        detector.grow_branches(["8"], BRANCH_PARTS[policy])
    batches = partial(
        training_batches, [records], detector.frame, detector.label_map, recipe
    )
    checkpoints = Checkpoints(Path(folder), {"policy": policy})
    configure(sys.stdout)
    fit(detector, batches, recipe, hooks=[resume.Resume(checkpoints)])
    np.savez(out, **{name: v.numpy() for name, v in detector.variables().items()})
    """
)


def start(arguments):
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.pipeline
@pytest.mark.parametrize(("policy", "kills"), [("target-branch", 3), ("none", 1)])
def test_killed_it_ends_as_it_would_have(tmp_path, train_files, policy, kills):
    from tests.classlift.conftest import DEMO_MODEL

    whole, killed = tmp_path / "whole.npz", tmp_path / "killed.npz"
    with start([DEMO_MODEL, train_files[0], tmp_path / "a", policy, whole]) as undisturbed:
        undisturbed.stdout.read()
    assert undisturbed.returncode == 0
    rng = random.Random(0)
    for victim in sorted(rng.sample(range(2, 23), kills)):
        with start([DEMO_MODEL, train_files[0], tmp_path / "b", policy, killed]) as process:
            for line in process.stdout:
                if line.startswith(f"step {victim}/"):
                    process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
    assert not killed.exists()
    with start([DEMO_MODEL, train_files[0], tmp_path / "b", policy, killed]) as last:
        said = last.stdout.read()
    assert last.returncode == 0
    assert "going on from step" in said
    with np.load(whole) as expected, np.load(killed) as found:
        assert expected.files == found.files
        assert all(np.array_equal(expected[name], found[name]) for name in expected.files)


@pytest.mark.unit
def test_a_checkpoint_comes_back(tmp_path):
    checkpoints = Checkpoints(tmp_path / "c", {"recipe": 1})
    assert checkpoints.load() is None
    assert not checkpoints.path.exists()
    values = {"weights/backbone/conv": np.arange(4.0), "optimizer/0": np.array(7)}
    checkpoints.save(5, values, {"judgements": [{"recall": 0.5}]})
    arrays, notes = checkpoints.load()
    assert notes.content == {"judgements": [{"recall": 0.5}], "step": 5}
    assert arrays.keys() == values.keys()
    assert all(np.array_equal(arrays[name], values[name]) for name in values)
    assert checkpoints.path.exists()


@pytest.mark.unit
def test_another_run_starts_anew(tmp_path):
    Checkpoints(tmp_path, {"recipe": 1}).save(5, {"a": np.zeros(1)}, {})
    other = Checkpoints(tmp_path, {"recipe": 2})
    assert other.load() is None
    other.save(1, {"a": np.ones(1)}, {})
    assert Checkpoints(tmp_path, {"recipe": 1}).load() is None  # one training at a time is kept
    other.clear()
    assert not tmp_path.exists()
