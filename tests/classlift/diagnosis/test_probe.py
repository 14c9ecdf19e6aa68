import numpy as np
import pytest

from classlift.diagnosis.probe import (
    FEWEST,
    DescribedObjects,
    Point,
    decay,
    learning_curve,
    separability,
)

pytestmark = pytest.mark.unit


def things(seed, *, apart, counts=(("scooter", 60), ("bike", 60), ("", 60))):
    """Gaussian clouds in ten dimensions; scooters lie `apart` from the others along one."""
    rng = np.random.default_rng(seed)
    labels = np.array([label for label, count in counts for _ in range(count)], object)
    features = rng.normal(size=(len(labels), 10)).astype(np.float32)
    features[labels == "scooter", 0] += apart
    return DescribedObjects(labels, features)


def test_what_lies_apart_is_found_and_what_does_not_is_not():
    recalls, shares = [], []
    for apart in (0.0, 2.0, 8.0):
        train, test = things(0, apart=apart), things(1, apart=apart)
        recalls.append(learning_curve(train, test, "scooter", 0.8)[-1].recall)
        shares.append(separability(train, test, "scooter", "bike"))
    assert recalls[0] < 0.2 < recalls[1] < recalls[2] == 1.0
    assert shares[0] < 0.3 < shares[1] < 0.99 < shares[2]


def test_the_curve_rises_with_the_objects():
    curve = learning_curve(things(0, apart=3.0), things(1, apart=3.0), "scooter", 0.8)
    assert [point.objects for point in curve] == [8, 15, 30, 60]
    assert curve[0].error > curve[-1].error
    assert decay(curve) > 0
    assert curve == learning_curve(things(0, apart=3.0), things(1, apart=3.0), "scooter", 0.8)


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([0.4, 0.2, 0.1], 1.0),  # each doubling halves the error
        ([0.3, 0.3, 0.3], 0.0),  # more objects change nothing
        ([0.1, 0.2, 0.4], 0.0),  # worse with more: noise, no promise
    ],
)
def test_decay(errors, expected):
    curve = [Point(10 * 2**k, 0.0, error) for k, error in enumerate(errors)]
    assert decay(curve) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("in_train", "in_test"),
    [(FEWEST - 1, 20), (20, 0)],  # too few to train on; none to judge by
)
def test_no_probe_without_objects(in_train, in_test):
    train = things(0, apart=1.0, counts=(("scooter", in_train), ("bike", 20)))
    test = things(1, apart=1.0, counts=(("scooter", in_test), ("bike", 20)))
    assert learning_curve(train, test, "scooter", 0.8) is None
    assert separability(train, test, "scooter", "bike") is None
