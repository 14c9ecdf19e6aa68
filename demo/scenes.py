"""Scenes of real handwritten digits on photographs, labelled as COCO JSON.

The digits are scikit-learn's bundled scans (UCI Optical Recognition of Handwritten Digits), the
backgrounds photographs from scikit-image's and scikit-learn's wheels, so everything works offline.
Scans are disjoint between the splits, and the backgrounds of eval and test are photographs that
training never shows: what the gate measures was never trained on.

Digit 8 is the weak class: the pre-trained model saw few scans of it, rarely.

    python -m demo.scenes build/demo/data
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from classlift import own_folders
from classlift.faults import exit_code_of

SIZE = 128  # pixels, both sides
CLASSES = tuple(str(digit) for digit in range(10))
WEAK = 8
WEAK_SCANS_IN_OLD_DATA = 12
JPEG_QUALITY = 92
VERSION = 3  # raise it when the scenes change: the demo then makes its data anew

Image = npt.NDArray[np.float32]
Box = tuple[int, int, int, int]  # xmin, ymin, xmax, ymax in pixels


@dataclass(frozen=True)
class Split:
    """One part of the demo's data.

    `weak_odds`: how often the weak digit is drawn, against any other digit.
    """

    name: str
    images: int
    scans: str
    weak_odds: float
    seed: int


# The old data are what the pre-trained model was made from; the demo replays its first thousand.
OLD = Split("old", 8000, "old", 1 / 30, seed=1)
REPLAYED = 1000
NEW = Split("new", 400, "new", 4.0, seed=2)
EVAL = Split("eval", 800, "eval", 1.0, seed=3)
TEST = Split("test", 1000, "test", 1.0, seed=4)


@cache
def digit_scans() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The scans, float32[n, 8, 8] in 0..1, and which digit each shows."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return (digits.images / 16.0).astype(np.float32), digits.target


@cache
def scan_pools() -> dict[str, list[npt.NDArray[np.int64]]]:
    """Indices of the scans of each digit, by pool; no scan is in two pools."""
    target = digit_scans()[1]
    pools: dict[str, list[npt.NDArray[np.int64]]] = {k: [] for k in ("old", "new", "eval", "test")}
    for digit in range(10):
        scans = np.random.default_rng([0, digit]).permutation(np.flatnonzero(target == digit))
        train, evaluation, test = np.split(scans, [int(0.6 * len(scans)), int(0.75 * len(scans))])
        old = WEAK_SCANS_IN_OLD_DATA if digit == WEAK else int(0.7 * len(train))
        pools["old"].append(train[:old])
        pools["new"].append(train[old:])
        pools["eval"].append(evaluation)
        pools["test"].append(test)
    return pools


@cache
def photographs() -> tuple[list[npt.NDArray[np.uint8]], list[npt.NDArray[np.uint8]]]:
    """Backgrounds for training, and others for eval and test."""
    import skimage.data
    from sklearn.datasets import load_sample_images

    names = (
        "astronaut chelsea coffee rocket hubble_deep_field immunohistochemistry retina "
        "brick grass gravel camera coins moon"
    )
    photographs = [getattr(skimage.data, name)() for name in names.split()]
    photographs += list(load_sample_images().images)
    colour = [
        np.ascontiguousarray(p[..., :3]) if p.ndim == 3 else cv2.cvtColor(p, cv2.COLOR_GRAY2RGB)
        for p in photographs
    ]
    return (
        [p for i, p in enumerate(colour) if i % 4 != 3],
        [p for i, p in enumerate(colour) if i % 4 == 3],
    )


def background(rng: np.random.Generator, photographs: list[npt.NDArray[np.uint8]]) -> Image:
    """A part of one of some photographs, in other colours, float32[SIZE, SIZE, 3]."""
    photograph = photographs[rng.integers(len(photographs))]
    height, width = photograph.shape[:2]
    side = int(rng.integers(96, min(height, width) + 1))
    y, x = rng.integers(height - side + 1), rng.integers(width - side + 1)
    crop = cv2.resize(
        photograph[y : y + side, x : x + side], (SIZE, SIZE), interpolation=cv2.INTER_AREA
    ).astype(np.float32)
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    crop = (crop - crop.mean()) * rng.uniform(0.3, 0.8) + rng.uniform(60, 195)
    return (crop * rng.uniform(0.8, 1.2, 3)).astype(np.float32)


def distractor(rng: np.random.Generator) -> Image:
    """A glyph that is no digit: strokes, an arc, a letter or a polygon."""
    canvas = np.zeros((64, 64), np.uint8)
    pen = {"color": 255, "thickness": int(rng.integers(5, 10)), "lineType": cv2.LINE_AA}
    kind = rng.integers(4)
    if kind == 0:
        for _ in range(rng.integers(1, 4)):
            start, end = rng.integers(4, 60, (2, 2)).tolist()
            cv2.line(canvas, start, end, **pen)
    elif kind == 1:
        axes = rng.integers(10, 28, 2).tolist()
        start, sweep = float(rng.integers(180)), float(rng.integers(90, 250))
        cv2.ellipse(canvas, (32, 32), axes, start, 0, sweep, **pen)
    elif kind == 2:
        letter = "AEFHKMNRTVWXY"[rng.integers(13)]
        cv2.putText(canvas, letter, (8, 54), cv2.FONT_HERSHEY_SIMPLEX, 2, **pen)
    else:
        corners = rng.integers(4, 60, (rng.integers(3, 5), 1, 2)).astype(np.int32)
        cv2.polylines(canvas, [corners], bool(rng.random() < 0.5), **pen)
    return canvas.astype(np.float32) / 255


def warp(glyph: Image, rng: np.random.Generator, size: int) -> Image:
    """The glyph at `size` pixels, a little turned and sheared, cropped to its ink."""
    padded = np.pad(cv2.resize(glyph, (size, size), interpolation=cv2.INTER_CUBIC), size // 3)
    side = padded.shape[0]
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), rng.uniform(-15, 15), 1.0)
    matrix[0, 1] += rng.uniform(-0.15, 0.15)
    matrix[0, 0] *= rng.uniform(0.8, 1.15)
    matrix[0, 2] += side / 2 - (matrix[0] @ [side / 2, side / 2, 1])
    warped = np.clip(cv2.warpAffine(padded, matrix, (side, side)), 0, 1)
    rows, columns = np.nonzero(warped > 0.25)
    if len(rows) == 0:
        return np.zeros((0, 0), np.float32)
    return warped[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def _overlap(a: Box, b: Box) -> float:
    """Intersection over the smaller of the two areas."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    smaller = min((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b))
    return width * height / smaller


def _place(rng: np.random.Generator, height: int, width: int, taken: list[Box]) -> Box | None:
    for _ in range(12):
        y, x = int(rng.integers(SIZE - height)), int(rng.integers(SIZE - width))
        box = (x, y, x + width, y + height)
        if all(_overlap(box, other) <= 0.12 for other in taken):
            return box
    return None


def scene(split: Split, index: int) -> tuple[npt.NDArray[np.uint8], list[tuple[int, Box]]]:
    """Scene `index` of a split: RGB image uint8[SIZE, SIZE, 3] and its (digit, box) labels."""
    rng = np.random.default_rng([split.seed, index])
    scans, pool = digit_scans()[0], scan_pools()[split.scans]
    image = background(rng, photographs()[split in (EVAL, TEST)])
    odds = np.ones(10)
    odds[WEAK] = split.weak_odds
    digits = rng.choice(10, rng.integers(1, 7), p=odds / odds.sum())
    items: list[int | None] = [*digits.tolist(), *[None] * int(rng.integers(0, 3))]

    def ink(digit: int | None) -> Image:
        size = int(np.exp(rng.uniform(np.log(22), np.log(56))))
        return warp(distractor(rng) if digit is None else scans[rng.choice(pool[digit])], rng, size)

    return compose(rng, image, items, ink)


def compose(
    rng: np.random.Generator,
    image: Image,
    items: Sequence[int | None],
    ink: Callable[[int | None], Image],
) -> tuple[npt.NDArray[np.uint8], list[tuple[int, Box]]]:
    """Puts things onto a background where there is room, with noise; None is not labelled.

    ink: how a thing looks, float32[height, width] in 0..1.
    """
    labels: list[tuple[int, Box]] = []
    taken: list[Box] = []
    for digit in items:
        glyph = ink(digit)
        height, width = glyph.shape
        if min(height, width) < 5 or max(height, width) >= SIZE - 2:
            continue
        box = _place(rng, height, width, taken)
        if box is None:
            continue
        xmin, ymin, xmax, ymax = box
        patch = image[ymin:ymax, xmin:xmax]
        colour = rng.uniform(0, 255, 3)
        while abs(colour.mean() - patch.mean()) <= 80:
            colour = rng.uniform(0, 255, 3)
        alpha = (glyph * rng.uniform(0.8, 1.0))[..., None]
        image[ymin:ymax, xmin:xmax] = patch * (1 - alpha) + colour * alpha
        taken.append(box)
        if digit is not None:
            labels.append((digit, box))
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 0.9))
    image = image + rng.normal(0, rng.uniform(2, 10), (SIZE, SIZE, 1))
    image = image + rng.normal(0, rng.uniform(0, 4), (SIZE, SIZE, 3))
    return np.clip(image, 0, 255).astype(np.uint8), labels


def _write_scenes(
    split: Split, folder: Path, indices: Sequence[int]
) -> list[list[tuple[int, Box]]]:
    written = []
    for index in indices:
        image, labels = scene(split, index)
        path = folder / "images" / _file_name(index)
        cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        written.append(labels)
    return written


def _file_name(index: int) -> str:
    return f"{index:06d}.jpg"


def write_split(split: Split, folder: Path, count: int | None = None, workers: int = 2) -> None:
    """Writes the first `count` scenes of a split (default: all) as JPEG and COCO JSON."""
    count = split.images if count is None else count
    (folder / "images").mkdir(parents=True)
    chunks = np.array_split(np.arange(count), max(1, count // 100))
    with ProcessPoolExecutor(workers) as pool:
        parts = pool.map(
            _write_scenes,
            [split] * len(chunks),
            [folder] * len(chunks),
            map(np.ndarray.tolist, chunks),
        )
        labels = [scene_labels for part in parts for scene_labels in part]
    annotations = [
        {
            "image_id": index + 1,
            "category_id": digit + 1,
            "bbox": [xmin, ymin, xmax - xmin, ymax - ymin],
            "area": (xmax - xmin) * (ymax - ymin),
            "iscrowd": 0,
        }
        for index, scene_labels in enumerate(labels)
        for digit, (xmin, ymin, xmax, ymax) in scene_labels
    ]
    coco = {
        "images": [
            {"id": i + 1, "file_name": f"images/{_file_name(i)}", "width": SIZE, "height": SIZE}
            for i in range(count)
        ],
        "annotations": [{"id": i + 1, **a} for i, a in enumerate(annotations)],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)],
    }
    (folder / "annotations.json").write_text(json.dumps(coco))


def write_demo_data(root: Path) -> bool:
    """Writes the demo's four splits under `root`; does nothing when they are there.

    Returns whether anything was written. Raises ConfigError, and touches nothing, when there is
    something else.
    """
    stamp = root / "VERSION"
    if stamp.exists() and stamp.read_text() == str(VERSION):
        return False
    own_folders.clear(root, own_folders.DEMO_DATA)
    for split, count in ((OLD, REPLAYED), (NEW, None), (EVAL, None), (TEST, None)):
        write_split(split, root / split.name, count)
    stamp.write_text(str(VERSION))
    return True


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the demo's data.")
    parser.add_argument("root", type=Path, help="folder to write, e.g. build/demo/data")
    arguments = parser.parse_args()

    sys.exit(exit_code_of(lambda: write_demo_data(arguments.root) and 0))
