"""Killed at any step and started again, training ends as it would have."""

import contextlib
import json
import multiprocessing
import os
import random
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TextIO

import numpy as np
import pytest

from classlift.progress import configure
from classlift.settings.freeze import BRANCH_PARTS
from classlift.settings.recipe import Recipe
from classlift.training.checkpoints import Checkpoints
from tests.classlift.conftest import DEMO_MODEL

CONTEXT = multiprocessing.get_context("forkserver")
"""Each training has a process of its own, forked from one that has imported what all need."""
CONTEXT.set_forkserver_preload(["classlift.training.fit", "classlift.detectors.od_api.ssd"])


@dataclass(frozen=True)
class Training:
    """What one process is asked for."""

    records: Path
    checkpoints: Path
    policy: str
    out: Path

    def run(self, said: Connection) -> None:
        """Trains, and writes all variables; what it says goes into the pipe."""
        os.dup2(said.fileno(), sys.stdout.fileno())
        from classlift.detectors.backends import load_detector
        from classlift.training.devices import make_reproducible
        from classlift.training.fit import fit
        from classlift.training.hooks import curves, progress, resume
        from classlift.training.input import training_batches

        curves.SECONDS = progress.SECONDS = resume.SECONDS = 0.0
        cached = 4 if self.policy == "target-branch" else 0
        recipe = Recipe(self.policy, steps=12, batch_size=4, cached_batches=cached)
        make_reproducible(0)
        detector = load_detector("od_api", DEMO_MODEL)
        if self.policy in BRANCH_PARTS:
            detector.grow_branches(["8"], BRANCH_PARTS[self.policy])
        batches = partial(
            training_batches, [self.records], detector.frame, detector.label_map, recipe
        )
        configure(sys.stdout)
        kept = Checkpoints(self.checkpoints, {"policy": self.policy})
        shown = curves.Curves(self.out.with_suffix(".json"))
        fit(detector, batches, recipe, hooks=[resume.Resume(kept), shown])
        np.savez(self.out, **{name: v.numpy() for name, v in detector.variables().items()})

    @contextlib.contextmanager
    def started(self) -> Iterator[tuple[BaseProcess, TextIO]]:
        """The process, and what it says as it comes."""
        ours, theirs = CONTEXT.Pipe(duplex=False)
        process = CONTEXT.Process(target=self.run, args=(theirs,))
        process.start()
        theirs.close()
        with open(ours.fileno(), closefd=False) as said:
            yield process, said
        process.join()


@pytest.mark.pipeline
@pytest.mark.parametrize(("policy", "kills"), [("target-branch", 3), ("none", 1)])
def test_killed_it_ends_as_it_would_have(tmp_path, train_files, policy, kills):
    whole, killed = tmp_path / "whole.npz", tmp_path / "killed.npz"
    with Training(train_files[0], tmp_path / "a", policy, whole).started() as (process, said):
        said.read()
    assert process.exitcode == 0
    training = Training(train_files[0], tmp_path / "b", policy, killed)
    rng = random.Random(0)
    for victim in sorted(rng.sample(range(2, 11), kills)):
        with training.started() as (process, said):
            for line in said:
                if line.startswith(f"step {victim}/"):
                    process.kill()
        assert process.exitcode == -signal.SIGKILL
    assert not killed.exists()
    with training.started() as (process, said):
        assert "going on from step" in said.read()
    assert process.exitcode == 0
    with np.load(whole) as expected, np.load(killed) as found:
        assert expected.files == found.files
        assert all(np.array_equal(expected[name], found[name]) for name in expected.files)
    shown = [json.loads(path.with_suffix(".json").read_text()) for path in (whole, killed)]
    assert shown[0]["losses"] == shown[1]["losses"]
    assert [point["step"] for point in shown[1]["losses"]] == list(range(1, 13))


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
