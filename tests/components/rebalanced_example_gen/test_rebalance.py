import numpy as np
import pytest

from components.errors import DataError
from components.rebalanced_example_gen.rebalance import (
    Rebalancing,
    copies,
    effective_sample_size,
    repeat_factors,
)

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
