import imagehash
import numpy as np
import pytest
from PIL import Image

from classlift.data.duplicates import NEAR_DISTANCE, hash_bits, mirrored, near_components, nearest
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


def test_components_equal_the_plain_way():
    """A random graph of near hashes against all pairs, one by one."""
    rng = np.random.default_rng(3)
    bits = hash_bits(random_hashes(40))
    rows = bits[rng.integers(0, 40, 300)].copy().view(np.uint8)
    for row in rows:  # up to 40 of 256 bits differ: some near, some not, some by a chain
        for bit in rng.choice(256, rng.integers(0, 41), replace=False):
            row[bit // 8] ^= 1 << (bit % 8)
    hashes = rows.view(np.uint64)
    distances = np.array([[int(np.bitwise_count(a ^ b).sum()) for b in hashes] for a in hashes])
    flipped = mirrored(hashes)
    distances = np.minimum(
        distances, [[int(np.bitwise_count(a ^ b).sum()) for b in flipped] for a in hashes]
    )
    expected = np.arange(len(hashes))
    while True:  # the smallest number of a neighbour, until nothing changes
        spread = np.where(distances <= NEAR_DISTANCE, expected[None], len(hashes)).min(axis=1)
        if (spread == expected).all():
            break
        expected = spread
    ours = near_components(hashes)
    assert len(set(zip(ours, expected, strict=True))) == len(set(ours)) == len(set(expected))


def test_nearest_equals_the_plain_way():
    few, many = hash_bits(random_hashes(7, 1)), hash_bits(random_hashes(50, 2))
    found, distances = nearest(few, many)
    for row, bits in enumerate(few):
        plain = [int(np.bitwise_count(bits ^ other).sum()) for other in many]
        assert distances[row] == min(plain) == plain[found[row]]
