import hashlib

import pytest

from classlift.gate.uses import (
    TestImages,
    confidence_of_use,
)

pytestmark = pytest.mark.unit


def content(number):
    return hashlib.sha256(str(number).encode()).hexdigest()


def images(numbers):
    return TestImages.of([content(number) for number in numbers])


@pytest.mark.parametrize(
    ("ours", "earlier", "share"),
    [
        (range(10), range(10), 1.0),
        (range(10), range(5, 100), 0.5),
        (range(10), range(0), 0.0),
        (range(0), range(10), 0.0),
        (range(400), range(100, 700), 0.75),
        (range(4000), range(2000, 9000), 0.5),  # more than are kept
        (range(9000), range(6000, 9000), 1 / 3),
    ],
)
def test_the_share_of_images_that_an_earlier_look_saw(ours, earlier, share):
    today, before = images(ours), TestImages.parse(str(images(earlier)))
    tolerance = 1e-9 if max(len(ours), len(earlier)) <= 512 else 0.06
    assert today.share_seen_by(before) == pytest.approx(share, abs=tolerance)


def test_each_use_is_charged():
    errors = [1 - confidence_of_use(use) for use in range(1, 41)]
    assert errors[0] == pytest.approx(0.05)
    assert errors == sorted(errors, reverse=True)
    assert errors[4] == pytest.approx(0.01)
