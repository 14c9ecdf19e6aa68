import numpy as np
import pytest
from scipy import stats

from classlift.metrics import statistics
from classlift.metrics.statistics import (
    Change,
    Shares,
    bootstrap_shares,
    clustered_share_bounds,
    holm,
    objects_needed,
    paired_change,
    share_bounds,
)

pytestmark = pytest.mark.unit


def simulate(rng, images, before, after, correlation=0.5):
    """Objects, hits before and hits after, [images, 1]; objects of an image share their luck."""
    objects = 1.0 + rng.poisson(1.0, (images, 1))
    luck = rng.normal(size=images) * np.sqrt(correlation)

    def hits(recall):
        draws = [
            (luck[i] + rng.normal(size=int(n)) * np.sqrt(1 - correlation)) < stats.norm.ppf(recall)
            for i, n in enumerate(objects[:, 0])
        ]
        return np.array([[d.sum()] for d in draws], float)

    return objects, hits(before), hits(after)


def test_bootstrap_agrees_with_the_closed_form():
    """The closed-form standard error of the ratio is within 2% of the bootstrap's."""
    rng = np.random.default_rng(0)
    errors = []
    for seed in range(10):
        objects, before, after = simulate(rng, 500, 0.6, 0.7)
        closed = paired_change((objects, before), (objects, after))[0].standard_error
        errors.append(bootstrap_shares(objects, after - before, seed).std() / closed)
    assert np.mean(errors) == pytest.approx(1, abs=0.02)


def test_lower_bound_covers():
    """Of equal models, one in twenty has a lower bound above 0 (binomial: 3 to 27 of 200)."""
    rng = np.random.default_rng(1)
    false = 0
    for _ in range(200):
        objects, before, after = simulate(rng, 150, 0.6, 0.6)
        false += paired_change((objects, before), (objects, after))[0].lower_bound > 0
    assert 3 <= false <= 22


def test_no_discordant_pair_is_no_proof_of_equality():
    objects = np.ones((4, 1))
    change = paired_change((objects, objects), (objects, objects))[0]
    assert change.change == 0
    assert change.standard_error == pytest.approx(1 / 4)
    assert change.lower_bound == pytest.approx(-stats.t.ppf(0.95, 3) / 4)
    assert change.p_worse == pytest.approx(0.5)


def test_three_objects_rule_out_no_drop():
    """One found more and none lost: every resample is at 0 or above, yet it proves little."""
    objects = np.ones((3, 1))
    before, after = np.array([[1.0], [1.0], [0.0]]), np.ones((3, 1))
    assert paired_change((objects, before), (objects, after))[0].lower_bound < -0.3


def test_a_class_without_objects_is_nan():
    nothing, something = (np.zeros((4, 1)),) * 2, (np.ones((4, 1)),) * 2
    for shares in ((nothing, nothing), (nothing, something), (something, nothing)):
        change = paired_change(*shares)[0]
        assert np.isnan(list(vars(change).values())).all()


def test_wholes_may_differ():
    """Precision: the detections of two models are as many as they like, in the same images."""
    rng = np.random.default_rng(2)
    luck = rng.normal(size=(400, 1))
    shares = []
    for share in (0.9, 0.7):
        kept = rng.poisson(np.exp(0.3 * luck) * 2).astype(float)
        shares.append((kept, rng.binomial(kept.astype(int), share).astype(float)))
    change = paired_change(*shares)[0]
    before, after = (parts.sum() / kept.sum() for kept, parts in shares)
    assert change.change == pytest.approx(after - before)
    draws = bootstrap_shares(*shares[1], 0) - bootstrap_shares(*shares[0], 0)
    assert draws.std() == pytest.approx(change.standard_error, rel=0.05)
    assert change.p_worse < 1e-6
    assert change.upper_bound < -0.1


def test_share_bounds_at_the_ends():
    (none, _, upper), (full, lower, _) = share_bounds(
        np.ones((20, 2)), np.column_stack([np.zeros(20), np.ones(20)])
    )
    assert (none, full) == (0, 1)
    assert upper == pytest.approx(1 - 0.05 ** (1 / 20))  # Clopper-Pearson in closed form
    assert lower == pytest.approx(0.05 ** (1 / 20))


@pytest.mark.parametrize(
    ("objects", "found", "upper"),
    [
        ([1], [0], 0.95),  # one missed object says next to nothing
        ([10], [0], 0.95),  # nor do ten in one image, which count as one
        ([10, 10], [0, 0], 1 - 0.05**0.5),  # two images, all missed
        ([1] * 10, [0] * 10, 1 - 0.05**0.1),  # Clopper and Pearson's
        ([1] * 5, [1] * 5, 1.0),
    ],
)
def test_the_bound_of_few_objects_is_wide(objects, found, upper):
    counts = (np.array(column, float)[:, None] for column in (objects, found))
    ((share, _, bound),) = clustered_share_bounds(*counts)
    assert share == sum(found) / sum(objects)
    assert bound >= upper * 0.9  # the objects' share of the images' freedom
    assert bound <= 1


@pytest.mark.parametrize(("images", "share"), [(3, 0.3), (5, 0.3), (10, 0.3), (10, 0.6), (40, 0.6)])
def test_an_upper_bound_covers_also_with_few_images(images, share):
    """In one of twenty the bound is below the truth (binomial: at most 11 of 100)."""
    rng = np.random.default_rng(images)
    below = 0
    for _ in range(100):
        objects, found, _ = simulate(rng, images, share, share)
        below += clustered_share_bounds(objects, found)[0][2] < share
    assert below <= 11


def test_bounds_of_many_images_are_those_of_the_bootstrap():
    objects, found, _ = simulate(np.random.default_rng(0), 1000, 0.6, 0.6)
    assert clustered_share_bounds(objects, found)[0] == pytest.approx(
        share_bounds(objects, found)[0], abs=0.005
    )


def test_clustered_bounds_of_nothing_are_nan():
    nothing = np.zeros((3, 1))
    assert np.isnan(clustered_share_bounds(nothing, nothing)[0]).all()


@pytest.mark.parametrize(
    ("p_values", "rejected"),
    [
        ([], []),
        ([0.01], [True]),
        ([0.03, 0.2], [False, False]),  # the smallest must beat alpha / 2
        ([0.2, 0.001, 0.02], [False, True, True]),  # order does not matter
    ],
)
def test_holm(p_values, rejected):
    assert holm(p_values, 0.05) == rejected


def change(value: float, error: float) -> Change:
    return Change(value, value - 1.645 * error, value + 1.645 * error, error, 0.5, 0.0)


@pytest.mark.parametrize(
    ("value", "error", "objects", "needed"),
    [
        (0.0, 0.05, 100, 171),  # 1.645 * 0.05 / 0.05 = 1.645; 100 * (1.645^2 - 1)
        (-0.06, 0.05, 100, None),  # the measured drop is itself too large
        (0.6, 0.5, 5, None),  # so few objects say nothing of how many it takes
        (0.0, float("nan"), 100, None),  # no bound
    ],
)
def test_objects_needed(value, error, objects, needed):
    assert objects_needed(change(value, error), objects, max_drop=0.05) == needed


def test_an_object_in_many_images_of_a_scene_counts_once():
    """Forty copies of an image with two objects prove no more than that image."""
    one = Shares(np.full((1, 1), 2.0), np.full((1, 1), 1.0))
    copies = Shares(*(40 * counts for counts in one[:2]), images=np.full((1, 1), 40.0))
    pair = Shares(np.ones((2, 1)), np.ones((2, 1)))
    for shares, objects in ((one, 2), (copies, 2), (pair, 2)):
        assert paired_change(shares, shares)[0].standard_error == pytest.approx(1 / objects)


def scenes_of_frames(rng, scenes, frames):
    """Objects and hits before and after, [images, 1]; all frames of a scene say nearly the same."""
    objects = np.ones((scenes * frames, 1))
    luck = rng.normal(size=(2, scenes)).repeat(frames, axis=1)
    hits = (luck + 0.3 * rng.normal(size=luck.shape) < 0)[..., None]
    return objects, *hits.astype(float)


def test_lower_bound_covers_with_scenes_as_units_and_not_with_frames(monkeypatch):
    """Of equal models, by scene: binomial, at most 9 of 100 at 5%; by frame: many."""
    monkeypatch.setattr(statistics, "RESAMPLES", 250)
    rng = np.random.default_rng(0)
    false = {"scene": 0, "frame": 0}
    for _ in range(100):
        counts = scenes_of_frames(rng, 25, 20)
        by_scene = [table.reshape(25, 20, 1).sum(axis=1) for table in counts]
        for unit, (objects, before, after) in (("frame", counts), ("scene", by_scene)):
            before, after = Shares(objects, before), Shares(objects, after, images=objects)
            false[unit] += paired_change(before, after)[0].lower_bound > 0
    assert false["scene"] <= 9
    assert false["frame"] >= 20


@pytest.mark.parametrize("scenes", [2, 3, 5, 9])
def test_a_bound_of_few_scenes_is_wide(monkeypatch, scenes):
    monkeypatch.setattr(statistics, "RESAMPLES", 250)
    rng = np.random.default_rng(scenes)
    false = 0
    for _ in range(100):
        objects, before, after = (
            table.reshape(scenes, 20, 1).sum(axis=1) for table in scenes_of_frames(rng, scenes, 20)
        )
        false += paired_change((objects, before), (objects, after))[0].lower_bound > 0
    assert false <= 10


def test_bounds_widen_with_the_confidence_and_nothing_else_does():
    objects, before, after = simulate(np.random.default_rng(3), 150, 0.6, 0.7)
    usual, wide = (
        paired_change((objects, before), (objects, after), confidence=confidence)[0]
        for confidence in (0.95, 0.99)
    )
    assert (usual.change, usual.standard_error, usual.p_worse) == (
        wide.change,
        wide.standard_error,
        wide.p_worse,
    )
    ratio = stats.t.ppf(0.99, 149) / stats.t.ppf(0.95, 149)
    assert wide.change - wide.lower_bound == pytest.approx(
        ratio * (usual.change - usual.lower_bound)
    )
    assert wide.upper_bound - wide.change == pytest.approx(
        ratio * (usual.upper_bound - usual.change)
    )
    assert wide.minimum_detectable_drop > usual.minimum_detectable_drop
