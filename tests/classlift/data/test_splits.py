import numpy as np
import pytest

from classlift.data.duplicates import hash_bits
from classlift.data.splits import OPEN, SHARES, Candidates, place, stratify

pytestmark = pytest.mark.unit
TRAIN, EVAL, TEST = range(3)


def ranks(names):
    """Numbers in the order of the names."""
    return np.unique(names, return_inverse=True)[1]


def candidates(count=300, classes=5, groups=None, seed=0, splits=None):
    """Random images: class c is in about one of 2^c of them."""
    rng = np.random.default_rng(seed)
    shares = 0.5 ** np.arange(1, classes + 1)
    return Candidates(
        keys=ranks([rng.bytes(8).hex() for _ in range(count)]),
        groups=rng.integers(0, groups, count) if groups else np.arange(count),
        bits=hash_bits([rng.bytes(32).hex() for _ in range(count)]),
        counts=rng.poisson(shares, (count, classes)),
        splits=np.full(count, OPEN) if splits is None else splits,
    )


def reordered(images, order):
    return Candidates(
        images.keys[order],
        images.groups[order],
        images.bits[order],
        images.counts[order],
        images.splits[order],
    )


def test_each_class_gets_its_share():
    images = candidates(2000)
    splits, _ = place(images)
    for split, share in enumerate(SHARES):
        found = images.counts[splits == split].sum(axis=0) / images.counts.sum(axis=0)
        np.testing.assert_allclose(found, share, atol=0.03)


def test_never_by_order():
    images = candidates()
    order = np.random.default_rng(1).permutation(300)
    assert (place(images)[0][order] == place(reordered(images, order))[0]).all()


def test_groups_stay_together():
    images = candidates(groups=40)
    splits, units = place(images)
    for group in set(images.groups):
        members = [i for i, found in enumerate(images.groups) if found == group]
        assert len(set(splits[members])) == 1
        assert len({units[i] for i in members}) == 1
    assert set(splits) == {TRAIN, EVAL, TEST}


def test_near_duplicates_stay_together():
    images = candidates(count=100)
    twins = images.bits.copy()
    twins[:, 0] ^= np.uint64(0b10110)  # three bits
    both = Candidates(
        np.concatenate([images.keys, images.keys + 100]),
        np.concatenate([images.groups, images.groups + 100]),
        np.concatenate([images.bits, twins]),
        np.concatenate([images.counts, images.counts]),
        np.full(200, OPEN),
    )
    splits, _ = place(both)
    assert (splits[:100] == splits[100:]).all()


@pytest.mark.parametrize("seed", range(5))
def test_adding_data_moves_nothing(seed):
    images = candidates(400, groups=150, seed=seed)
    first = reordered(images, np.arange(200))
    before, _ = place(first)
    known = np.concatenate([before, np.full(200, OPEN)])
    after, _ = place(Candidates(images.keys, images.groups, images.bits, images.counts, known))
    assert (after[:200] == before).all()
    for group in set(images.groups):  # what comes later follows its group
        members = [i for i, found in enumerate(images.groups) if found == group]
        assert len(set(after[members])) == 1


def test_an_image_between_two_sides_goes_with_its_nearest():
    near, far = "00" * 32, "ff" * 3 + "00" * 29  # 24 bits apart
    between = "01" + "00" * 31  # one bit from the first
    images = Candidates(
        np.arange(3),
        np.arange(3),
        hash_bits([near, far, between]),
        np.ones((3, 1), np.int64),
        np.array([TEST, TRAIN, OPEN]),
    )
    assert place(images)[0].tolist() == [TEST, TRAIN, TEST]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([9], {TRAIN: 1}),
        ([9, 1], {TRAIN: 1, EVAL: 1}),
        ([9, 4, 1], {TRAIN: 1, EVAL: 1, TEST: 1}),  # each split has what it can
    ],
)
def test_a_rare_class_is_in_as_many_splits_as_it_can(counts, expected):
    units = len(counts)
    splits = stratify(
        [f"u{n}" for n in range(units)],
        np.ones(units, np.int64),
        np.array(counts)[:, None],
        np.full(units, OPEN),
    )
    assert {s: int((splits == s).sum()) for s in set(splits.tolist())} == expected
