"""Freezing, determinism and learning, on the real detector."""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from classlift.detectors.detector import Batch
from classlift.detectors.freeze import frozen_names, part_of
from classlift.errors import ConfigError, ModelError
from classlift.settings.freeze import BRANCH_PARTS, branch_parts
from classlift.settings.recipe import Recipe
from classlift.training.fit import fit
from classlift.training.input import training_batches

pytestmark = pytest.mark.pipeline


def values(detector):
    return {name: variable.numpy() for name, variable in detector.variables().items()}


def restore(detector, saved):
    for name, variable in detector.variables().items():
        if name in saved:
            variable.assign(saved[name])


def batches_for_every_level(detector, label, batch_size=8):
    """Endless batches of noise with boxes of the class for the anchors of every feature map.

    A level without a positive anchor would have no gradient for some of its batch norms.
    """
    rng = np.random.default_rng(0)
    corner = np.array([0.05, 0.05])
    boxes = np.array([[*corner, *(corner + side)] for side in (0.125, 0.25, 0.5, 0.9)], np.float32)
    labels = np.full([batch_size, len(boxes)], detector.label_map.id_of(label), np.int32)
    while True:
        yield Batch(
            tf.constant(rng.uniform(0, 255, [batch_size, *detector.frame.size, 3]), tf.float32),
            tf.tile(boxes[None], [batch_size, 1, 1]),
            tf.constant(labels),
            tf.ones(labels.shape),
        )


def train(detector, files, recipe, **more):
    batches = partial(training_batches, files, detector.frame, detector.label_map, recipe)
    return fit(detector, batches, recipe, **more)


@pytest.mark.parametrize(
    "policy",
    [*BRANCH_PARTS, "target-branch+block:5", "none", "all-but-class-head", "first:5"],
)
def test_frozen_is_frozen_and_the_rest_moves(detector, policy):
    """Bit for bit, batch-norm statistics too; a branch keeps the champion's.

    What each policy freezes is in test_freeze.py.
    """
    if branch_parts(policy):
        detector.grow_branches(["8"], branch_parts(policy))
    before = values(detector)
    frozen = frozen_names(policy, list(before), detector.trained_branches)
    try:
        recipe = Recipe(freeze_policy=policy, steps=2, batch_size=2, cached_batches=0)
        fit(detector, lambda _: batches_for_every_level(detector, "8", 2), recipe)
        after = values(detector)
        trainable = {name: v.trainable for name, v in detector.variables().items()}
    finally:
        restore(detector, before)
        detector.drop_branches()
    same = {name for name in before if np.array_equal(before[name], after[name])}
    assert frozen <= same
    free = set(before) - frozen
    if branch_parts(policy):
        free = {name for name in free if trainable[name]}
    assert not free & same


def test_every_variable_has_one_name_in_the_order_of_the_image(detector):
    found = detector.variables()
    model = detector.common.model
    everything = [*model._feature_extractor.variables, *model._box_predictor.variables]
    assert {v.ref() for v in found.values()} == {v.ref() for v in everything}
    assert len(found) == len(everything)
    parts = list(dict.fromkeys(part_of(name) for name in found))
    assert parts == ["backbone", "neck", "head", "class-head"]
    assert "class-head/WeightSharedConvolutionalClassHead/ClassPredictor/bias" in found


def test_one_seed_one_model(detector, train_files):
    """The same seed gives the same bits, another seed others."""
    tf.config.experimental.enable_op_determinism()
    before, ends = values(detector), []
    try:
        for seed in (1, 1, 2):
            tf.keras.utils.set_random_seed(seed)
            restore(detector, before)
            train(detector, train_files, Recipe("all-but-heads", steps=4, batch_size=8, seed=seed))
            ends.append(np.concatenate([v.ravel() for v in values(detector).values()]))
    finally:
        restore(detector, before)
    assert np.array_equal(ends[0], ends[1])
    assert not np.array_equal(ends[0], ends[2])


def test_class_weights_reach_the_boxes_of_their_class(detector, train_files):
    seen = []
    for weights in ({}, {"8": 3.0}):
        recipe = Recipe(class_weights=weights, batch_size=8, augmentation=False)
        batch = next(
            iter(training_batches(train_files, detector.frame, detector.label_map, recipe))
        )
        is_target = batch.labels.numpy() == detector.label_map.id_of("8")
        seen.append((batch.weights.numpy()[is_target], batch.weights.numpy()[~is_target]))
    (plain, others), (weighted, same) = seen
    assert len(plain) > 0
    assert plain.tolist() == [1.0] * len(plain)
    assert weighted.tolist() == [3.0] * len(plain)
    assert np.array_equal(others, same)


def test_a_loss_that_is_no_number_stops(detector, train_files):
    before = values(detector)
    variable = next(v for name, v in detector.variables().items() if name.startswith("head/"))
    variable.assign(variable * np.nan)
    try:
        with pytest.raises(ModelError, match="loss is nan at step 1"):
            train(detector, train_files, Recipe("all-but-heads", steps=1, batch_size=8))
    finally:
        restore(detector, before)


def test_too_few_batches_are_an_error(detector):
    with pytest.raises(ModelError, match="ended after 0 of 5 steps"):
        fit(detector, lambda _: [], Recipe("none", steps=5))


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        (
            {"freeze_policy": "backbome"},
            "no freeze policy 'backbome'; choose one of: target-branch",
        ),
        ({"steps": 0}, "steps is 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"class_weights": {"8": 0}}, "weight of class '8'"),
        ({"stepps": 3}, "no 'stepps'"),
    ],
)
def test_wrong_recipes_are_refused(parts, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Recipe().override(parts)
