"""Training from cached features is training: the same losses and gradients on the same views."""

import itertools
import os
import resource
import shutil
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from classlift.detectors.detector import Batch
from classlift.detectors.freeze import frozen_names, part_of
from classlift.settings.freeze import (
    BRANCH_PARTS,
    TARGET_BRANCH,
    TARGET_BRANCH_NECK,
    branch_parts,
)
from classlift.settings.recipe import Recipe
from classlift.training import cache as module
from classlift.training import fit as fit_module
from classlift.training.cache import FeatureCache, Place, cached
from classlift.training.fit import can_cache, features_key, features_of_each, fit
from classlift.training.input import training_batches

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def batches(detector, train_files):
    """Three batches, which no test changes."""
    recipe = Recipe(batch_size=4)
    found = training_batches(train_files, detector.frame, detector.label_map, recipe)
    return list(itertools.islice(found, 3))


def freeze(detector, policy):
    if branch_parts(policy):
        detector.grow_branches(["8"], branch_parts(policy))
    names = list(detector.variables())
    return detector.freeze(frozen_names(policy, names, detector.trained_branches))


@pytest.fixture(params=[TARGET_BRANCH, TARGET_BRANCH_NECK, "target-branch+block:5", "backbone"])
def variables(request, detector):
    yield list(freeze(detector, request.param).values())
    detector.drop_branches()
    detector.freeze(frozenset())


@pytest.fixture
def frozen(detector):
    yield freeze(detector, "all-but-heads")
    detector.freeze(frozenset())


def tensors_of(batch):
    return batch.images, batch.boxes, batch.labels, batch.weights


def losses_and_gradients(detector, variables, batch, features=None):
    with tf.GradientTape() as tape:
        losses = detector.losses(batch, features)
        total = tf.add_n(list(losses.values()))
    gradients = [g for g in tape.gradient(total, variables) if g is not None]
    return np.array(list(losses.values())), np.concatenate([g.numpy().ravel() for g in gradients])


@pytest.mark.parametrize(
    ("dtype", "loss", "gradient"),
    [
        (np.float32, 1e-6, 1e-5),
        (np.float16, 2e-3, 0.1),  # half precision: batch norm in training divides by small numbers
    ],
)
def test_the_same_losses_and_gradients(
    tmp_path, detector, variables, batches, dtype, loss, gradient
):
    batch = batches[1]
    plain = losses_and_gradients(detector, variables, batch)
    cache = FeatureCache(tmp_path, 100, dtype)
    for one in batches:
        assert cache.add(detector.features(one.images), one)
    features, labels = cache.read(np.arange(4, 8))  # the second batch
    found = losses_and_gradients(detector, variables, labels, features)
    np.testing.assert_allclose(found[0], plain[0], rtol=loss)
    difference = np.linalg.norm(found[1] - plain[1]) / np.linalg.norm(plain[1])
    assert difference < gradient


def test_views_come_back_in_any_order(tmp_path, detector, frozen, batches):
    cache = FeatureCache(tmp_path, 100, np.float32)
    for one in batches:
        cache.add(detector.features(one.images), one)
    views = np.array([9, 0, 5])
    features, labels = cache.read(views)
    for row, view in enumerate(views):
        batch = batches[view // 4]
        expected = detector.features(batch.images)
        for ours, theirs in zip(features, expected, strict=True):
            np.testing.assert_allclose(ours[row], theirs[view % 4], rtol=1e-6)
        known = int((batch.labels[view % 4] > 0).numpy().sum())
        assert int((labels.labels[row] > 0).numpy().sum()) == known


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_numbers_are_kept_as_numpy_would(tmp_path, dtype):
    """To the bit, whoever converts them."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(4, 5, 7, 3)) * 10.0 ** rng.integers(-9, 6, (4, 5, 7, 3))
    numbers[0, 0, 0] = [0.0, -0.0, np.inf]
    feature = tf.constant(numbers, tf.float32)
    none = tf.zeros([4, 1, 4]), tf.zeros([4, 1], tf.int32), tf.zeros([4, 1])
    cache = FeatureCache(tmp_path, 4, dtype)
    assert cache.add((feature,), Batch(tf.zeros([4, 8, 8, 3]), *none))
    order = np.array([2, 0, 3])
    ((found,), _) = cache.read(order)
    with np.errstate(over="ignore"):
        expected = feature.numpy().astype(dtype).astype(np.float32)[order]
    assert found.numpy().tobytes() == expected.tobytes()


def test_draws_go_through_all_views_and_follow_the_seed(tmp_path, detector, frozen, batches):
    cache = FeatureCache(tmp_path, 100)
    for one in batches:
        cache.add(detector.features(one.images), one)
    sums = [
        [float(tf.reduce_sum(f[0])) for f, _ in itertools.islice(cache.draw(3, seed), 4)]
        for seed in (1, 1, 2)
    ]
    assert sums[0] == sums[1] != sums[2]
    seen = [v for f, _ in itertools.islice(cache.draw(3, 1), 4) for v in f[2].numpy()[:, 0, 0, 0]]
    assert len(set(seen)) > 6


def test_the_disk_is_bounded(detector, frozen, batches, monkeypatch):
    one = sum(int(np.prod(f.shape[1:])) for f in detector.features(batches[0].images)) * 2
    monkeypatch.setattr(module, "MAX_BYTES", 9 * one)  # two batches of four
    with cached(one_kind(detector), iter(batches), [Place(3)]) as (cache,):
        assert len(cache) == 8
        assert cache.bytes_per_view == one


def one_kind(detector):
    return lambda images, _: [detector.features(images)]


class Counted:
    """A detector that counts how often it is asked for features."""

    def __init__(self, detector):
        self._detector, self.batches = detector, 0

    def features(self, images):
        tf.py_function(self._count, [], [])
        return self._detector.features(images)

    def _count(self):
        self.batches += 1


def views(detector, batches, folder, key="weights"):
    """What the cache holds, and how many batches had to be computed for it."""
    counted = Counted(detector)
    place = Place(len(batches), folder, key)
    with cached(one_kind(counted), iter(batches), [place]) as (cache,):
        features, labels = cache.read(np.arange(len(cache)))
        return [*features, labels.boxes, labels.weights], counted.batches


def test_features_outlive_the_run(detector, frozen, batches, tmp_path, caplog):
    first, computed = views(detector, batches, tmp_path)
    assert computed == 3
    again, computed = views(detector, batches, tmp_path)
    assert computed == 0
    assert "3 batches of them from an earlier run" in caplog.messages[-1]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_only_what_makes_features_is_asked(detector, frozen, batches, tmp_path):
    """Other weights of the boxes: the same features. Another image: those of its batch are new."""
    views(detector, batches, tmp_path)
    heavy = [Batch(b.images, b.boxes, b.labels, b.weights * 2) for b in batches]
    found, computed = views(detector, heavy, tmp_path)
    assert computed == 0
    plain, _ = views(detector, batches, tmp_path / "other")
    assert np.array_equal(found[-1], plain[-1] * 2)
    other = [batches[0], Batch(batches[1].images + 1, *tensors_of(batches[1])[1:]), batches[2]]
    found, computed = views(detector, other, tmp_path)
    assert computed == 2  # from the changed one on
    expected, _ = views(detector, other, tmp_path / "third")
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    assert views(detector, batches, tmp_path, "other weights")[1] == 3


def test_several_kinds_of_one_pass_equal_the_plain_way(detector, frozen, batches, tmp_path):
    """Also where some of one are there already, and of another fewer are wanted."""
    plain, _ = views(detector, batches, tmp_path / "plain")
    counted = Counted(detector)

    def kinds(images, wanted):
        features = counted.features(images)
        both = [features, [-feature for feature in features]]
        return [both[number] for number in wanted]

    def both(negated):
        places = [Place(3, tmp_path / "0", "weights"), Place(negated, tmp_path / "1", "weights")]
        with cached(kinds, iter(batches), places) as caches:
            found = [[*c.read(np.arange(len(c)))[0]] for c in caches]
        return found, counted.batches

    found, computed = both(negated=2)
    assert computed == 3
    assert all(np.array_equal(a, b) for a, b in zip(found[0], plain, strict=False))
    assert all(np.array_equal(a, -b[:8]) for a, b in zip(found[1], plain, strict=False))
    again, computed = both(negated=2)
    assert computed == 3
    assert all(np.array_equal(a, b) for a, b in zip(found[1], again[1], strict=True))
    shutil.rmtree(tmp_path / "1")
    again, computed = both(negated=3)
    assert computed == 6
    assert all(np.array_equal(a, b) for a, b in zip(found[0], again[0], strict=True))
    assert all(np.array_equal(a, -b) for a, b in zip(again[1], plain, strict=False))


def test_each_kind_is_bounded_by_itself(detector, frozen, batches, monkeypatch):
    one = sum(int(np.prod(f.shape[1:])) for f in detector.features(batches[0].images)) * 2
    monkeypatch.setattr(module, "MAX_BYTES", 9 * one)  # two batches of four
    places = [Place(3), Place(1), Place(2)]

    def alike(images, wanted):
        return [detector.features(images) for _ in wanted]

    with cached(alike, iter(batches), places) as caches:
        assert [len(cache) for cache in caches] == [8, 4, 8]


@pytest.mark.parametrize(
    ("steps", "prefixes", "kept"),
    [
        ((2, 4), ("neck", "backbone"), [4, 6]),
        ((4, 4), ("neck", "backbone"), [6, 6]),
        ((2, 3), ("neck", "backbone"), []),  # each view would be seen once: nothing is saved
        ((2, 4), ("neck", None), []),
        ((2, 4), (None, None), []),
    ],
)
def test_features_of_depths_that_follow_each_other(
    monkeypatch, tmp_path, batches, steps, prefixes, kept
):
    """Are there for each as many steps as it has; three batches of two images are cached."""
    monkeypatch.setattr(fit_module, "freeze", lambda *_: (frozenset(), {}))
    monkeypatch.setattr(fit_module, "features_key", lambda *_: "weights")
    learners = [
        (
            SimpleNamespace(prefix=prefix, features=lambda i: (i,), neck_maps=lambda f: f),
            Recipe(steps=count, batch_size=2, cached_batches=3),
            tmp_path / str(number),
        )
        for number, (count, prefix) in enumerate(zip(steps, prefixes, strict=True))
    ]
    halves = [Batch(*(tensor[:2] for tensor in tensors_of(batch))) for batch in batches]
    with features_of_each(learners, lambda start: iter(halves[start:]), "1") as caches:
        assert [len(cache) for cache in caches] == kept


@pytest.mark.parametrize("policy", [TARGET_BRANCH_NECK, "target-branch+block:5"])
def test_one_pass_gives_each_depth_what_its_own_would(detector, batches, tmp_path, policy):
    """To the bit; the maps of the neck are made of what the deeper one keeps."""
    recipe = Recipe(steps=4, batch_size=4, cached_batches=3)
    deeper = detector.twin()
    learners = [
        (detector, recipe.override({"cached_batches": 2}), tmp_path / "head"),
        (deeper, recipe.override({"freeze_policy": policy}), tmp_path / "deeper"),
    ]
    try:
        for learner, own, _ in learners:
            learner.grow_branches(["8"], branch_parts(own.freeze_policy))
        with features_of_each(learners, lambda start: iter(batches), "1") as caches:
            found = [cache.read(np.arange(len(cache)))[0] for cache in caches]
        for (learner, *_), features, count in zip(learners, found, (8, 12), strict=True):
            plain, _ = views(learner, batches, None)
            assert [len(feature) for feature in features] == len(features) * [count]
            assert all(np.array_equal(a, b[:count]) for a, b in zip(features, plain, strict=False))
    finally:
        detector.drop_branches()
        detector.freeze(frozenset())


def test_a_killed_run_leaves_nothing_false(detector, frozen, batches, tmp_path):
    """Killed before the index was written: features lie there that nobody vouches for."""
    views(detector, batches, tmp_path)
    (tmp_path / "index.json").unlink()
    assert views(detector, batches, tmp_path)[1] == 3


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "computed", "words"),
    [
        (lambda folder: os.truncate(folder / "0.npy", 1000), 3, "0.npy is not as large as it was"),
        (lambda folder: os.truncate(folder / "1.npy", 0), 3, "1.npy is not as large as it was"),
        (lambda folder: (folder / "0.npy").unlink(), 3, "0.npy is not as large as it was"),
        (lambda folder: flip(folder / "0.npy", 0.1), 3, "checksums differ"),
        (lambda folder: flip(folder / "1.npy", 0.5), 2, "checksums differ"),
        (lambda folder: flip(folder / "index.json", 0.5), 3, "index.json is damaged"),
        (lambda folder: os.truncate(folder / "index.json", 50), 3, "index.json is damaged"),
        (lambda folder: os.truncate(folder / "index.json", 0), 3, "index.json is damaged"),
        (lambda folder: (folder / "index.json").write_text("[" * 9999), 3, "index.json is damaged"),
    ],
)
def test_what_is_damaged_is_made_anew(
    detector, frozen, batches, tmp_path, caplog, damage, computed, words
):
    """From the first damaged batch on, with one line."""
    first, _ = views(detector, batches, tmp_path)
    damage(tmp_path)
    counted = Counted(detector)
    place = Place(3, tmp_path, "weights")
    with cached(one_kind(counted), iter(batches), [place]) as (cache,):
        features, labels = cache.read(np.arange(len(cache)))
    assert counted.batches == computed
    assert [line for line in caplog.messages if "made anew" in line] == [
        f"cached features in {tmp_path} are made anew: {words}"
    ]
    again = [*features, labels.boxes, labels.weights]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert views(detector, batches, tmp_path)[1] == 0


def test_a_full_disk_is_a_sentence(detector, train_files, tmp_path, caplog):
    """Nothing is cached then, and training goes on with the images."""
    recipe = Recipe(steps=4, batch_size=2, cached_batches=3, freeze_policy="backbone")
    found = partial(training_batches, train_files, detector.frame, detector.label_map, recipe)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))  # as a quota does
    try:
        result = fit(detector, found, recipe, features=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        detector.freeze(frozenset())
    assert result.steps == 4
    assert [line for line in caplog.messages if "full" in line] == [
        f"no features are cached, for the disk of {tmp_path} is full: each step computes them, "
        "which takes longer"
    ]
    assert not list(tmp_path.glob("*.npy"))


def test_two_runs_at_once_do_not_share(detector, frozen, batches, tmp_path, caplog):
    places = [Place(3, tmp_path)]
    with cached(one_kind(detector), iter(batches), places) as (first,):
        before = first.read(np.arange(4))[0][0].numpy()
        other = [Batch(b.images * 0, *tensors_of(b)[1:]) for b in batches]
        caplog.clear()
        with cached(one_kind(detector), iter(other), places):
            pass
        assert np.array_equal(before, first.read(np.arange(4))[0][0].numpy())
    assert "another run is using" in caplog.messages[0]


def test_the_key_is_of_the_weights_that_stay(detector, frozen):
    names = frozen_names("all-but-heads", list(detector.variables()))
    first = features_key(detector, names)
    head, backbone = (
        next(v for n, v in detector.variables().items() if part_of(n) == part)
        for part in ("head", "backbone")
    )
    for variable, changes in ((head, False), (backbone, True)):
        before = variable.numpy()
        variable.assign(before + 1)
        assert (features_key(detector, names) != first) == changes
        variable.assign(before)


@pytest.mark.parametrize(
    ("recipe", "prefix", "caches"),
    [
        (Recipe(), "neck", True),
        (Recipe(), None, False),  # the backbone learns
        (Recipe(steps=100, cached_batches=100), "neck", False),  # each view would be seen once
        (Recipe(cached_batches=0), "neck", False),
    ],
)
def test_when_features_are_cached(recipe, prefix, caches):
    assert can_cache(recipe, prefix) == caches


def test_a_branch_learns_from_the_cache(detector, train_files, caplog):
    """The loss falls; what is frozen stays."""
    detector.grow_branches(["8"], BRANCH_PARTS[TARGET_BRANCH])
    head = {n: v.numpy() for n, v in detector.variables().items() if part_of(n) != "branch"}
    recipe = Recipe(steps=40, batch_size=8, cached_batches=6)
    found = partial(training_batches, train_files, detector.frame, detector.label_map, recipe)
    try:
        fit(detector, found, recipe)
    finally:
        after = {n: v.numpy() for n, v in detector.variables().items()}
        detector.drop_branches()
    assert "48 views cached" in " ".join(caplog.messages)
    assert all(np.array_equal(head[name], after[name]) for name in head)


def test_one_seed_one_branch(detector, train_files):
    """The same seed gives the same bits from the cache, another seed others."""
    tf.config.experimental.enable_op_determinism()
    ends = []
    for seed in (1, 1, 2):
        tf.keras.utils.set_random_seed(seed)
        detector.grow_branches(["8"], BRANCH_PARTS[TARGET_BRANCH])
        recipe = Recipe(steps=6, batch_size=4, cached_batches=3, seed=seed)
        found = partial(training_batches, train_files, detector.frame, detector.label_map, recipe)
        fit(detector, found, recipe)
        ends.append(np.concatenate([v.numpy().ravel() for v in detector.variables().values()]))
        detector.drop_branches()
    assert np.array_equal(ends[0], ends[1])
    assert not np.array_equal(ends[0], ends[2])
