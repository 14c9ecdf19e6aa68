import numpy as np
import pytest

from classlift.errors import DataError
from classlift.examples.rebalance import (
    EFFECTIVE_BETA,
    class_factors,
    copies,
    effective_sample_size,
    repeat_factors,
)
from classlift.settings.rebalancing import Rebalancing

pytestmark = pytest.mark.unit
CAR, SCOOTER = frozenset({"car"}), frozenset({"scooter"})
BOTH, NONE = CAR | SCOOTER, frozenset()


@pytest.mark.parametrize(
    ("images", "threshold", "factors"),
    [
        ([CAR, CAR, CAR, SCOOTER], 1.0, [np.sqrt(4 / 3)] * 3 + [2.0]),
        ([CAR, CAR, CAR, BOTH], 1.0, [1.0, 1.0, 1.0, 2.0]),  # weighted by its rarest class
        ([CAR, NONE], 0.5, [1.0, 1.0]),  # without objects: once
        ([CAR, CAR, CAR, SCOOTER], None, [1.0, 1.0, 1.0, np.sqrt(2)]),  # median of 0.75 and 0.25
        ([NONE, NONE], None, [1.0, 1.0]),
    ],
)
def test_repeat_factors(images, threshold, factors):
    assert repeat_factors(images, Rebalancing(repeat_threshold=threshold)) == pytest.approx(factors)


def test_the_expectation_is_exact():
    """Over seeds, the mean copies are the factors, within four standard errors."""
    images = [CAR] * 30 + [SCOOTER] * 10
    plan = {"repeat_threshold": 1.0, "replay_share": 0.0, "max_growth": 10.0}
    old = [False] * len(images)
    counts = np.array([copies(images, old, Rebalancing(**plan, seed=s)) for s in range(400)])
    factors = repeat_factors(images, Rebalancing(**plan))
    error = np.sqrt((factors % 1) * (1 - factors % 1) / len(counts))
    assert np.abs(counts.mean(axis=0) - factors).max() <= 4 * error.max()


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_replay_share(share):
    images, old = [CAR] * 1400, [True] * 1000 + [False] * 400
    times = copies(images, old, Rebalancing(replay_share=share))
    assert times[:1000].sum() / times.sum() == pytest.approx(share, abs=0.02)
    assert times.sum() <= 3.0 * len(images) * 1.02


def test_the_cap_keeps_the_share():
    images, old = [CAR] * 1010, [True] * 1000 + [False] * 10
    times = copies(images, old, Rebalancing(replay_share=0.5, max_growth=1.5))
    assert times.sum() == pytest.approx(1.5 * 1010, rel=0.02)
    assert times[:1000].sum() / times.sum() == pytest.approx(0.5, abs=0.03)


def test_no_old_data_to_replay():
    assert copies([CAR, CAR], [False, False], Rebalancing(replay_share=0.5)).tolist() == [1, 1]


def test_no_replay_leaves_old_data_out():
    assert copies([CAR, CAR], [True, False], Rebalancing(replay_share=0.0)).tolist() == [0, 1]


def test_no_new_data_is_an_error():
    with pytest.raises(DataError, match="no new training images"):
        copies([CAR, CAR], [True, True], Rebalancing(replay_share=0.5))


def test_effective_sample_size():
    assert effective_sample_size(np.array([1, 1, 1, 1])) == 4
    assert effective_sample_size(np.array([2, 0, 0, 0])) == 1


@pytest.mark.parametrize(
    ("plan", "factors"),
    [
        # f(car) = 0.9, f(scooter) = 0.1, t = 1
        (Rebalancing("repeat_factor", repeat_threshold=1.0), (np.sqrt(1 / 0.9), np.sqrt(10))),
        (Rebalancing("inverse_frequency"), (1.0, 9.0)),
        (
            Rebalancing("effective_number"),
            (1.0, (1 - EFFECTIVE_BETA**900) / (1 - EFFECTIVE_BETA**100)),
        ),
        (Rebalancing("none"), (1.0, 1.0)),
        (Rebalancing("none", targets=("scooter",), target_boost=4.0), (1.0, 4.0)),
        (Rebalancing("none", targets=("scooter", "car"), target_boost=4.0), (4.0, 4.0)),
        (Rebalancing("none", targets=("tram",), target_boost=4.0), (1.0, 1.0)),  # not in train
    ],
)
def test_class_factors(plan, factors):
    found = class_factors([CAR] * 900 + [SCOOTER] * 100, plan)
    assert (found["car"], found["scooter"]) == pytest.approx(factors)


def long_tail(images=400):
    """Images of five classes, each half as frequent as the one before; some show several."""
    rng = np.random.default_rng(7)
    shown = rng.random((images, 5)) < 0.6 * 0.5 ** np.arange(5)
    return [frozenset(f"c{n}" for n in np.flatnonzero(row)) for row in shown]


@pytest.mark.parametrize("method", ["repeat_factor", "effective_number", "inverse_frequency"])
def test_frequencies_match_the_formula_over_20_seeds(method):
    """The mean count of each class is the sum of its images' factors, within four errors."""
    images, seeds = long_tail(), range(20)
    plan = {"method": method, "max_growth": 100.0, "targets": ("c3",), "target_boost": 1.5}
    factors = repeat_factors(images, Rebalancing(**plan))
    old = [False] * len(images)
    counts = np.array([copies(images, old, Rebalancing(**plan, seed=s)) for s in seeds])
    fractions = factors % 1
    for label in [f"c{n}" for n in range(5)]:
        shows = np.array([label in image for image in images])
        error = np.sqrt((fractions * (1 - fractions))[shows].sum() / len(seeds))
        assert abs(counts[:, shows].sum(axis=1).mean() - factors[shows].sum()) <= 4 * error + 1e-6
    assert set(counts.sum(axis=1)) <= {np.floor(factors.sum()), np.ceil(factors.sum())}


@pytest.mark.parametrize("growth", [1.0, 1.37, 2.5])
@pytest.mark.parametrize("seed", range(5))
def test_the_cap_is_never_exceeded(growth, seed):
    plan = Rebalancing("inverse_frequency", max_growth=growth, replay_share=0.0, seed=seed)
    images = long_tail()
    assert copies(images, [False] * len(images), plan).sum() <= growth * len(images)
