"""Is the named cause the true one? Five data sets, in each of which one thing is wrong.

    make bench-causes

Scenes of five digits, drawn anew for each cause and seed; a detector is trained on each, its head
from scratch on the demo's backbone and neck, and diagnosed. What is wrong with the target class:

- few examples: there are 150 images, and a seventh as many objects of it as of any other class
- imbalance: there are 1500 images, and a tenth as many objects of it as of any other class
- label quality: of its labels, a tenth is missing and a tenth bears another class's name
- feature overlap: it and another class are the same digit, slanted this way and that
- architecture: its objects are 7 to 12 pixels large, the others' 22 to 56
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean

import cv2
import numpy as np

from benchmarks.comparison import PRECISION, ROOT
from classlift import own_folders
from classlift.detectors import od_api
from classlift.diagnosis.causes import ARCHITECTURE, CAUSES, FEW, IMBALANCE, LABELS, OVERLAP
from classlift.diagnosis.diagnosis import FILE, Diagnosis
from demo.scenes import (
    CLASSES,
    JPEG_QUALITY,
    Box,
    background,
    compose,
    digit_scans,
    distractor,
    photographs,
    scan_pools,
    warp,
)

WORK = ROOT / "build" / "bench-causes"
DIGITS = (0, 3, 5, 6, 8)
TARGET, RIVAL = 8, 3
SEEDS = tuple(range(5))
EVAL_IMAGES = 500


@dataclass(frozen=True)
class Weakness:
    """What is wrong. images: of the train split; odds: of the target's objects in it, against any
    other class's; size: of the target's objects in pixels; wrong: share of its labels that miss or
    lie; alike: whether the rival is the target's digit too.
    """

    cause: str
    images: int = 500
    odds: float = 1.0
    size: tuple[int, int] = (22, 56)
    wrong: float = 0.0
    alike: bool = False


WEAKNESSES = (
    Weakness(FEW, images=150, odds=1 / 7),
    Weakness(IMBALANCE, images=1500, odds=1 / 10),
    Weakness(LABELS, wrong=0.2),
    Weakness(OVERLAP, alike=True),
    Weakness(ARCHITECTURE, size=(7, 12)),
)


def write_split(weakness: Weakness, seed: int, split: str, folder: Path) -> None:
    """Writes one split as JPEG and COCO JSON."""
    (folder / "images").mkdir(parents=True)
    train = split == "train"
    images = weakness.images if train else EVAL_IMAGES
    annotations = []
    for index in range(images):
        rng = np.random.default_rng([seed, train, index])
        image, labels = _scene(weakness, rng, train)
        encoding = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        cv2.imwrite(str(folder / "images" / f"{index:06d}.jpg"), image[..., ::-1], encoding)
        for digit, (xmin, ymin, xmax, ymax) in labels:
            if digit == TARGET and rng.random() < weakness.wrong:
                if rng.random() < 0.5:
                    continue
                digit = int(rng.choice([d for d in DIGITS if d != TARGET]))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index + 1,
                    "category_id": DIGITS.index(digit) + 1,
                    "bbox": [xmin, ymin, xmax - xmin, ymax - ymin],
                }
            )
    document = {
        "images": [
            {"id": i + 1, "file_name": f"images/{i:06d}.jpg", "width": 128, "height": 128}
            for i in range(images)
        ],
        "annotations": annotations,
        "categories": [{"id": i + 1, "name": CLASSES[d]} for i, d in enumerate(DIGITS)],
    }
    (folder / "annotations.json").write_text(json.dumps(document))


def _scene(
    weakness: Weakness, rng: np.random.Generator, train: bool
) -> tuple[np.ndarray, list[tuple[int, Box]]]:
    scans, pools = digit_scans()[0], scan_pools()
    pool = [*pools["old"][:8], pools["new"][8], pools["old"][9]] if train else pools["eval"]
    odds = np.array([weakness.odds if train and d == TARGET else 1.0 for d in DIGITS])
    digits = rng.choice(DIGITS, rng.integers(1, 7), p=odds / odds.sum())
    items = [*digits.tolist(), *[None] * int(rng.integers(0, 3))]

    def ink(digit: int | None) -> np.ndarray:
        low, high = weakness.size if digit == TARGET else (22, 56)
        size = int(np.exp(rng.uniform(np.log(low), np.log(high))))
        if digit is None:
            return warp(distractor(rng), rng, size)
        shown = TARGET if weakness.alike and digit == RIVAL else digit
        glyph = scans[rng.choice(pool[shown])]
        if weakness.alike and shown == TARGET:
            glyph = _slanted(glyph, rng.uniform(-0.1, 0.5) * (1 if digit == RIVAL else -1))
        return warp(glyph, rng, size)

    return compose(rng, background(rng, photographs()[not train]), items, ink)


def _slanted(glyph: np.ndarray, slant: float) -> np.ndarray:
    padded = np.pad(cv2.resize(glyph, (32, 32), interpolation=cv2.INTER_CUBIC), 12)
    matrix = np.array([[1, slant, -slant * padded.shape[0] / 2], [0, 1, 0]])
    return np.clip(cv2.warpAffine(padded, matrix, padded.shape[::-1]), 0, 1)


def train_champion(examples: Path, seed: int, folder: Path) -> None:
    """Writes a zoo entry: the demo's backbone and neck, and a head from scratch."""
    import tensorflow as tf

    from classlift.data.label_map import LabelMap
    from classlift.detectors.examples import example_files
    from classlift.detectors.od_api.branching import Branched
    from classlift.detectors.od_api.ssd import SsdDetector
    from classlift.detectors.od_api.zoo_entry import read_config
    from classlift.settings.recipe import Recipe
    from classlift.training.fit import fit
    from classlift.training.input import training_batches

    tf.keras.utils.set_random_seed(seed)
    labels = LabelMap(tuple(CLASSES[d] for d in DIGITS))
    config = read_config(ROOT / "demo" / "model")
    config.model.ssd.num_classes = len(DIGITS)
    detector = Branched(SsdDetector(config, labels))
    known = Branched.load(SsdDetector, ROOT / "demo" / "model").variables()
    for name, variable in detector.variables().items():
        if name.startswith(("backbone", "neck")):
            variable.assign(known[name])
    recipe = Recipe(
        "all-but-heads",
        steps=400,
        batch_size=16,
        learning_rate=5e-3,
        cached_batches=100,
        evaluations=0,
        seed=seed,
    )
    files = example_files(examples, "train")
    batches = partial(training_batches, files, detector.frame, labels, recipe)
    fit(detector, batches, recipe)
    detector.save(folder)


def run(weakness: Weakness, seed: int, folder: Path) -> None:
    """Makes a data set and a champion, and diagnoses it as `classlift diagnose` does."""
    from classlift.data.label_map import LabelMap
    from classlift.data.snapshot import Source, take_snapshot
    from classlift.diagnosis.standalone import diagnose_model
    from classlift.examples.write import write_examples
    from classlift.settings.rebalancing import Rebalancing

    own_folders.clear(folder, "benchmark")
    for split in ("train", "eval"):
        write_split(weakness, seed, split, folder / split)
    sources = [Source(folder / s / "annotations.json", s) for s in ("train", "eval")]
    snapshot = take_snapshot(sources)
    labels = LabelMap(tuple(CLASSES[d] for d in DIGITS))
    examples, model = folder / "examples", folder / "model"
    write_examples(snapshot, labels, Rebalancing(method="none"), examples)
    train_champion(examples, seed, model)
    diagnose_model(model, snapshot, CLASSES[TARGET], PRECISION, folder)


def main() -> int:
    """Runs what is missing, each in a process of its own, and prints the table."""
    parser = argparse.ArgumentParser(description="Diagnose detectors whose weakness is known.")
    parser.add_argument("--one", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        number, seed = arguments.one
        run(WEAKNESSES[number], seed, _folder(number, seed))
        return 0
    environment = {**os.environ, **od_api.ENVIRONMENT, "TF_CPP_MIN_LOG_LEVEL": "3"}
    for seed in SEEDS:
        for number, weakness in enumerate(WEAKNESSES):
            if (_folder(number, seed) / FILE).exists():
                continue
            print(f"{weakness.cause}, seed {seed}", flush=True)
            subprocess.run(
                [sys.executable, "-m", "benchmarks.causes", "--one", str(number), str(seed)],
                cwd=ROOT,
                env=environment,
                check=True,
                stderr=subprocess.DEVNULL,
            )
    print(table())
    return 0


def _folder(number: int, seed: int) -> Path:
    return WORK / f"{number}-{seed}"


def table() -> str:
    """The mean score of each cause, by the true one, and how often that one was ranked first."""
    lines = [
        "| true cause | recall, others | ranked first | " + " | ".join(CAUSES) + " |",
        "|---" * (len(CAUSES) + 3) + "|",
    ]
    for number, weakness in enumerate(WEAKNESSES):
        found = [Diagnosis.read(_folder(number, seed)) for seed in SEEDS]
        scores = [{cause.name: cause.score for cause in f.causes} for f in found]
        first = sum(f.causes[0].name == weakness.cause for f in found)
        target = mean(f.weakness.recalibrated for f in found)
        others = mean(f.weakness.others for f in found)
        means = " | ".join(f"{mean(s[cause] for s in scores):.2f}" for cause in CAUSES)
        lines.append(
            f"| {weakness.cause} | {target:.2f}, {others:.2f} | {first} of {len(found)} | {means} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
