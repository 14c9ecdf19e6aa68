import imagehash
import numpy as np
import pytest
from PIL import Image

from classlift.data import duplicates
from classlift.data.duplicates import (
    NEAR_DISTANCE,
    hash_bits,
    mirrored,
    near_components,
    nearest,
    nearest_twins,
)
from classlift.data.images import perceptual_hashes, probe

pytestmark = pytest.mark.unit


def picture(seed, size=(160, 120)):
    small = np.random.default_rng(seed).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def random_hashes(count, seed=0):
    return [np.random.default_rng([seed, n]).bytes(32).hex() for n in range(count)]


def test_all_at_once_equals_imagehash():
    pictures = [picture(seed) for seed in range(20)]
    small = [p.convert("L").resize((64, 64), Image.Resampling.LANCZOS) for p in pictures]
    ours = perceptual_hashes(np.stack([np.asarray(s) for s in small]))
    assert ours == [str(imagehash.phash(p, hash_size=16)) for p in pictures]


def test_twins_are_near_and_others_are_not(tmp_path):
    picture(1).save(tmp_path / "a.png")
    picture(1).save(tmp_path / "recompressed.jpg", quality=60)
    picture(1).resize((80, 60)).save(tmp_path / "smaller.png")
    picture(2).save(tmp_path / "other.png")
    names = ("a.png", "recompressed.jpg", "smaller.png", "other.png")
    bits = hash_bits([probe(str(tmp_path / name)).phash for name in names])
    components = near_components(bits)
    assert len(set(components[:3])) == 1
    assert components[3] != components[0]


def plain_components(hashes):
    """All pairs, one by one: the smallest number of a neighbour, until nothing changes."""
    flipped = mirrored(hashes)
    near = np.array(
        [
            np.minimum(*(np.bitwise_count(one ^ side).sum(axis=1) for side in (hashes, flipped)))
            <= NEAR_DISTANCE
            for one in hashes
        ],
        bool,
    ).reshape(len(hashes), len(hashes))
    found = np.arange(len(hashes))
    while True:
        spread = np.where(near, found[None], len(hashes)).min(axis=1, initial=len(hashes))
        if (spread == found).all():
            return found
        found = spread


def around(centres, count, flipped, seed=0):
    """Hashes that each differ from one of the centres in a random number of bits."""
    rng = np.random.default_rng(seed)
    rows = centres[rng.integers(0, len(centres), count)].copy().view(np.uint8)
    for row in rows:
        for bit in rng.choice(256, rng.integers(0, flipped + 1), replace=False):
            row[bit // 8] ^= 1 << (bit % 8)
    return rows.view(np.uint64)


SETS = {
    # up to 40 of 256 bits differ: some near, some not, some by a chain
    "chains": around(hash_bits(random_hashes(40)), 900, 40),
    "one fixed camera": around(hash_bits(random_hashes(1)), 900, 22),
    "neither near nor far": around(hash_bits(random_hashes(1)), 900, 50),
    "mirror images": np.concatenate(
        [
            around(hash_bits(random_hashes(30)), 300, 20, 1),
            mirrored(around(hash_bits(random_hashes(30)), 300, 20, 2)),
        ]
    ),
    "strangers": hash_bits(random_hashes(600)),
    "few, many times": np.tile(around(hash_bits(random_hashes(3)), 6, 40), (150, 1)),
    "plain pictures": hash_bits(["00" * 32, "ff" * 32, "00" * 31 + "01"] * 200),
    "one": hash_bits(random_hashes(1)),
    "none": hash_bits([]),
}


@pytest.fixture(params=["pairs", "chunks"])
def way(request, monkeypatch):
    """Few hashes are compared pair by pair; here they go the way of many too, in small blocks."""
    if request.param == "chunks":
        monkeypatch.setattr(duplicates, "_FEW", -1)
        monkeypatch.setattr(duplicates, "_PAIRS_AT_ONCE", 20_000)
        monkeypatch.setattr(duplicates, "_WORTH", 1e9)


@pytest.mark.parametrize("hashes", SETS.values(), ids=SETS)
def test_components_equal_the_plain_way(hashes, way):
    ours, expected = near_components(hashes), plain_components(hashes)
    assert len(set(zip(ours, expected, strict=True))) == len(set(ours)) == len(set(expected))


@pytest.mark.parametrize("within", [NEAR_DISTANCE, 48])
@pytest.mark.parametrize("hashes", SETS.values(), ids=SETS)
def test_nearest_twins_equal_the_plain_way(hashes, within, way):
    held, train = hashes[::3], hashes[1::2]
    found, distances = nearest_twins(held, train, within)
    assert len(found) == len(distances) == len(held)
    for row, bits in enumerate(held):
        plain = np.bitwise_count(bits ^ train).sum(axis=1)
        if plain.min(initial=256) <= within:
            assert (found[row], distances[row]) == (plain.argmin(), plain.min())
        else:
            assert found[row] == -1


def test_where_all_are_rather_alike_all_pairs_are_looked_at(monkeypatch):
    """Chunks would show most pairs many times over: given up in between, nothing is lost."""
    monkeypatch.setattr(duplicates, "_FEW", -1)
    monkeypatch.setattr(duplicates, "_PAIRS_AT_ONCE", 20_000)
    monkeypatch.setattr(duplicates, "_WORTH", 0.2)
    hashes = SETS["neither near nor far"]
    ours, expected = near_components(hashes), plain_components(hashes)
    assert 1 < len(set(expected)) < len(hashes)
    assert len(set(zip(ours, expected, strict=True))) == len(set(ours)) == len(set(expected))


def test_the_border_is_exact_wherever_the_bits_are(way):
    """All in one chunk, dealt out evenly, or at random: never a bit more or less."""
    rng = np.random.default_rng(0)
    pairs, expected = [], []
    for differing in (0, 1, 16, 31, 32, 33):
        places = [np.arange(differing), np.arange(differing) * 7 + 3, np.arange(differing) * 11]
        places += [rng.choice(256, differing, replace=False) for _ in range(20)]
        for place in places:
            pairs.append(np.tile(rng.integers(0, 2, 256).astype(np.uint8), (2, 1)))
            pairs[-1][1, place % 256] ^= 1
            expected.append(len(expected) if differing <= NEAR_DISTANCE else -1)
    ones, others = np.packbits(pairs, axis=2).view(np.uint64).transpose(1, 0, 2)
    assert nearest_twins(others, ones)[0].tolist() == expected


def test_nearest_equals_the_plain_way():
    few, many = hash_bits(random_hashes(7, 1)), hash_bits(random_hashes(50, 2))
    found, distances = nearest(few, many)
    for row, bits in enumerate(few):
        plain = [int(np.bitwise_count(bits ^ other).sum()) for other in many]
        assert distances[row] == min(plain) == plain[found[row]]
