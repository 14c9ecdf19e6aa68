import numpy as np
import pyarrow as pa
import pytest

from classlift.data.units import (
    FILE,
    GROUP,
    SEQUENCE,
    SEQUENCE_DISTANCE,
    TWINS,
    find_units,
    read_units,
    write_units,
)
from classlift.errors import DataError

pytestmark = pytest.mark.unit
SHUFFLED = [f"{n * 7 % 61}x.jpg" for n in range(60)]


def hashes(count, seed=0):
    """[count, 256] bits of pictures that have nothing in common."""
    return np.random.default_rng(seed).integers(0, 2, (count, 256)).astype(bool)


def drifting(scenes, frames, step, seed=0):
    """[scenes * frames, 256]: in each scene a frame differs from the one before in `step` bits."""
    rng = np.random.default_rng(seed)
    rows = []
    for first in hashes(scenes, seed):
        bits = first
        for _ in range(frames):
            rows.append(bits)
            bits = bits.copy()
            bits[rng.choice(256, step, replace=False)] ^= True
    return np.array(rows)


def table(names, bits, splits="test", groups=None):
    count = len(names)
    return pa.table(
        {
            "image_id": names,
            "group": groups or names,
            "split": [splits] * count if isinstance(splits, str) else splits,
            "phash": [np.packbits(row).tobytes().hex() for row in bits],
        }
    )


def numbered(count, name="frame"):
    return [f"data/{name}_{number:04d}.jpg" for number in range(count)]


def photographs(camera_bits=0, count=500):
    """Numbered pictures that are no sequence; camera_bits: how many are the same in all."""
    bits = hashes(count)
    bits[:, :camera_bits] = bits[0, :camera_bits]
    return bits


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        # each its own: names say a sequence, and the content does not
        (table(numbered(500, "img"), photographs()), "500 images, each its own"),
        # nor does it where one camera sees the same background in all
        (table(numbered(500), photographs(camera_bits=100)), "500 images, each its own"),
        # frames of 25 scenes, told by nothing but names and content
        (
            table(numbered(500), drifting(25, 20, 50)),
            "500 images in 25 scenes, by sequence in file names",
        ),
        # each scene with its own name
        (
            table([f"s{n // 20}/cam1_{n % 20:06d}.png" for n in range(500)], drifting(25, 20, 50)),
            "500 images in 25 scenes, by sequence in file names",
        ),
        # the same content without numbers in a row: nothing says that these are neighbours
        (
            table([f"{'abcdefghij'[n % 10]}{n}.jpg" for n in range(500)], drifting(25, 20, 50)),
            "500 images, each its own",
        ),
        # groups
        (
            table(numbered(500), hashes(500), groups=[f"g{n // 20}" for n in range(500)]),
            "500 images in 25 scenes, by `group`",
        ),
        # forty copies, and forty slightly other copies, of one picture, between others
        (
            table(SHUFFLED, np.vstack([hashes(20), hashes(1, 7).repeat(40, 0)])),
            "60 images in 21 scenes, by near duplicates",
        ),
        (
            table(SHUFFLED, np.vstack([hashes(20), drifting(1, 40, 12, seed=7)])),
            "60 images in 21 scenes, by near duplicates",
        ),
        (table(["one.jpg"], hashes(1)), "1 image, each its own"),
        (table([], hashes(0)), "0 images, each its own"),
    ],
)
def test_what_the_unit_is(images, sentence):
    units = find_units(images)
    assert units.sentence("test") == sentence
    assert set(units.of_image) == set(images["image_id"].to_pylist())
    assert len(set(units.of_image.values())) == units.counts["test"][1]


def test_a_scene_is_one_though_frames_between_are_in_train():
    """Each frame is far from all but its neighbours."""
    splits = ["test" if n % 4 == 0 else "train" for n in range(200)]
    images = table(numbered(200), drifting(10, 20, 60), splits)
    units = find_units(images)
    assert units.sentence("test") == "50 images in 10 scenes, by sequence in file names"
    assert len(units.of_image) == 50


def test_all_reasons_are_named_for_the_split_where_they_joined():
    groups = ["g" if n < 20 else str(n) for n in range(200)]  # the first scene
    bits = drifting(10, 20, 50)
    twins = np.vstack([bits, bits[-1:]])
    images = table(
        [*numbered(200), "copy.jpg"],
        twins,
        ["eval" if n < 40 else "test" for n in range(201)],
        [*groups, "copy"],
    )
    units = find_units(images)
    assert units.reasons == {"eval": (GROUP, SEQUENCE), "test": (TWINS, SEQUENCE)}
    assert units.sentence("eval") == "40 images in 2 scenes, by `group` and sequence in file names"
    assert units.of_image["copy.jpg"] == units.of_image["data/frame_0199.jpg"]


def test_images_that_cannot_be_read_are_their_own():
    images = table(numbered(3), hashes(3))
    images = images.set_column(3, "phash", pa.array(["", "", ""]))
    assert find_units(images).counts["test"] == (3, 3)


@pytest.mark.parametrize("joined", [True, False])
def test_the_largest_distance_of_neighbours(joined):
    rows = hashes(200)
    for row in range(1, 200, 2):
        rows[row] = rows[row - 1]
        rows[row, : SEQUENCE_DISTANCE + (not joined)] ^= True
    assert find_units(table(numbered(200), rows)).counts["test"][1] == (100 if joined else 200)


def test_units_are_written_and_read(tmp_path):
    units = find_units(table(numbered(200), drifting(10, 20, 60)))
    write_units(units, tmp_path)
    read = read_units(tmp_path)
    assert {name: read.get(name, name) for name in units.of_image} == units.of_image
    (tmp_path / FILE).write_text("[]")
    with pytest.raises(DataError, match=r"units.json: it is missing or damaged"):
        read_units(tmp_path)
