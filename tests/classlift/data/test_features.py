"""Features that are looked up and compared fast, against the plain ways."""

import cv2
import numpy as np
import pytest

from classlift.data import features
from classlift.data.features import Features, most_alike, same_features

pytestmark = pytest.mark.unit


def codes(rng, count, of=12, flipped=60):
    """Codes that each differ from one of a few in up to so many of 256 bits; some are the same."""
    rows = np.random.default_rng(0).integers(0, 256, (of, 32), np.uint8)[rng.integers(0, of, count)]
    for row in rows:
        for bit in rng.choice(256, rng.integers(0, flipped + 1), replace=False):
            row[bit // 8] ^= 1 << (bit % 8)
    return rows


def pictures(rng, count, flipped):
    return [
        Features(np.empty((n, 2), np.float32), codes(rng, n, 200, flipped))
        for n in rng.choice([0, 1, 40, 90], count)
    ]


def votes_one_by_one(images, originals):
    """Each feature against each other: those of one cell, but for full cells."""
    count = sum(len(original.codes) for original in originals)
    width = max(12, int(np.ceil(np.log2(max(count, 2)))) + 1)
    rng = np.random.default_rng(0)
    votes = np.zeros((len(images), len(originals)), int)
    for _ in range(features._TABLES):
        bits = rng.choice(256, width, replace=False)
        known = [cells(original.codes, bits) for original in originals]
        size = {cell: sum(row.count(cell) for row in known) for row in known for cell in row}
        for image, found in enumerate(images):
            for cell in cells(found.codes, bits):
                if size.get(cell, 0) <= features._CELL:
                    votes[image] += [row.count(cell) for row in known]
    return votes


def cells(rows, bits):
    return ["".join(map(str, row)) for row in np.unpackbits(rows, axis=1)[:, bits]]


@pytest.mark.parametrize("flipped", [0, 4, 20])
def test_the_most_alike_are_those_with_most_votes(flipped, monkeypatch):
    monkeypatch.setattr(features, "_PICTURES_AT_ONCE", 7)
    rng = np.random.default_rng(1)
    originals, images = pictures(rng, 30, flipped), pictures(rng, 20, flipped)
    expected = []
    for votes in votes_one_by_one(images, originals):
        best = np.argsort(-votes, kind="stable")[: features._CANDIDATES]
        expected.append([int(n) for n in best if votes[n] >= features._LEAST_VOTES])
    assert most_alike(images, originals) == expected
    assert any(expected) or not flipped  # without a difference all cells are full


def test_where_nothing_has_features_nothing_is_alike():
    nothing = features.features_of(None)
    something = Features(np.zeros((20, 2), np.float32), codes(np.random.default_rng(0), 20))
    assert most_alike([nothing, something], [nothing, nothing]) == [[], []]
    assert most_alike([nothing, nothing], [something]) == [[], []]


@pytest.mark.parametrize("seed", range(40))
def test_the_same_features_are_those_of_opencv(seed):
    rng = np.random.default_rng(seed)
    known, asked = (codes(rng, rng.integers(1, 60)) for _ in range(2))
    if seed == 0:
        asked = ~known  # no bit the same
    matcher = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True)
    pairs = [
        (pair.queryIdx, pair.trainIdx)
        for pair in matcher.match(known, asked)
        if pair.distance <= features._ALIKE
    ]
    found = list(zip(*(side.tolist() for side in same_features(known, asked)), strict=True))
    few = min(len(known), len(asked)) < features._LEAST_INLIERS
    assert found == ([] if few else pairs)
