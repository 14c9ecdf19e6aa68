"""Training with Keras 3: what was killed goes on to the same weights; what XLA can't do is said."""

import numpy as np
import pytest
import tensorflow as tf

from classlift.detectors.backends import load_detector
from classlift.errors import ModelError
from classlift.settings.recipe import Recipe
from classlift.training.checkpoints import Checkpoints
from classlift.training.devices import compute_in_half
from classlift.training.fit import fit
from classlift.training.hooks.resume import Resume
from classlift.training.step import TrainingStep
from tests.classlift.detectors.keras_hub.conftest import batch_of

pytestmark = pytest.mark.pipeline

BATCH = [[(0.1, 0.1, 0.5, 0.6, 1, 1), (0.4, 0.5, 0.9, 0.95, 3, 1)], [(0.2, 0.3, 0.6, 0.7, 2, 1)]]
RECIPE = Recipe("none", steps=4, batch_size=2, learning_rate=1e-3, evaluations=2)


class Killed(Exception):
    pass


def batches(start, until=1000):
    for number in range(start, 1000):
        if number == until:
            raise Killed
        yield batch_of(BATCH, seed=number)


def test_a_killed_training_ends_as_it_would_have(folders, tmp_path):
    tf.config.experimental.enable_op_determinism()
    whole, killed, again = (load_detector("keras_hub", folders["retinanet"]) for _ in range(3))
    fit(whole, batches, RECIPE)
    with pytest.raises(Killed):
        fit(
            killed,
            lambda start: batches(start, until=3),
            RECIPE,
            hooks=[Resume(Checkpoints(tmp_path, {}))],
        )
    result = fit(again, batches, RECIPE, hooks=[Resume(Checkpoints(tmp_path, {}))])
    assert result.steps == 4
    expected, found = whole.variables(), again.variables()
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


def test_half_precision_keeps_the_weights_in_full(folders, tmp_path):
    with compute_in_half(True):
        half = load_detector("keras_hub", folders["retinanet"])
    full = load_detector("keras_hub", folders["retinanet"])
    assert {v.dtype for v in half.variables().values()} == {tf.float32}
    losses = [float(detector.losses(batch_of(BATCH))["class"]) for detector in (half, full)]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    half.save(tmp_path)
    again = load_detector("keras_hub", tmp_path)
    assert {layer.compute_dtype for layer in again.common._layers()} == {"float32"}


def test_what_xla_can_not_compile_is_said(folders):
    tf.config.experimental.enable_op_determinism()  # there is no such pooling for XLA
    detector = load_detector("keras_hub", folders["retinanet"])
    recipe = Recipe("none", steps=4, batch_size=2, jit_compile=True)
    step = TrainingStep(detector, detector.freeze(frozenset()), recipe)
    with pytest.raises(ModelError, match=r"XLA can't compile .*; leave jit_compile out"):
        step((), batch_of(BATCH))
