"""What freezing and vectorised target assignment give, side by side in one process.

    make bench

Prints images/s of a training step by freeze policy, as a multiple of full fine-tuning, and the
time to trace a step with the OD API's own target assignment, as a multiple of ours.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from components.detectors import od_api

os.environ.update(od_api.ENVIRONMENT)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from components.detectors.detector import Batch
from components.detectors.freeze import BRANCH_PARTS, POLICIES, frozen_names
from components.detectors.od_api.ssd import SsdDetector
from components.detectors.recipe import Recipe
from components.detectors.step import TrainingStep

ROOT = Path(__file__).resolve().parent.parent
BATCH, BOXES, ROUNDS, STEPS = 32, 4, 5, 3
CACHED = ", cached features"


def main() -> None:
    """Prints both tables."""
    detector = SsdDetector.load(ROOT / "demo" / "model")
    batch = random_batch(detector)
    print("Training step at 128 px, batch 32, on this machine:\n")
    print("| freeze policy | images/s | against full fine-tuning |\n|---|---|---|")
    cached = [f"{policy}{CACHED}" for policy in POLICIES if policy != "none"]
    steps = {policy: training_step(detector, policy) for policy in (*POLICIES, *cached)}
    detector.drop_branches()
    times: dict[str, list[float]] = {policy: [] for policy in steps}
    for _ in range(ROUNDS):  # in turn, so that a busy moment of the machine meets all of them
        for policy, step in steps.items():
            started = time.perf_counter()
            for _ in range(STEPS):
                step()
            times[policy].append((time.perf_counter() - started) / STEPS)
    for policy, seconds in times.items():
        ratio = median(a / b for a, b in zip(times["none"], seconds, strict=True))
        print(f"| {policy} | {BATCH / median(seconds):.0f} | {ratio:.2f} |")

    stock, ours = [], []
    for _ in range(3):
        ours.append(trace(lambda *t: sum(detector.losses(Batch(*t)).values()), batch))
        stock.append(trace(lambda *t: stock_loss(detector, Batch(*t)), batch))
    ratio = median(a / b for a, b in zip(stock, ours, strict=True))
    print(f"\nTracing the loss: the OD API's own target assignment takes {ratio:.1f} times as long")
    print(f"(medians {median(stock):.1f} s and {median(ours):.1f} s).")


def random_batch(detector: SsdDetector) -> tuple[tf.Tensor, ...]:
    """Images and boxes in random places."""
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 0.6, (BATCH, BOXES, 2))
    return (
        tf.constant(rng.uniform(0, 255, (BATCH, *detector.frame.size, 3)), tf.float32),
        tf.constant(np.concatenate([low, low + 0.3], axis=-1), tf.float32),
        tf.constant(rng.integers(1, 11, (BATCH, BOXES)), tf.int32),
        tf.ones([BATCH, BOXES]),
    )


def training_step(detector: SsdDetector, name: str) -> Callable[..., object]:
    """The step of training by a policy, and where it can, the one from cached features."""
    policy = name.removesuffix(CACHED)
    detector.drop_branches()
    if policy in BRANCH_PARTS:
        detector.grow_branch("8", BRANCH_PARTS[policy])
    trained = detector.freeze(frozen_names(policy, list(detector.variables()), detector.branch))
    step = TrainingStep(detector, trained, Recipe(policy, learning_rate=1e-6))
    batch = Batch(*random_batch(detector))
    features = detector.features(batch.images) if name.endswith(CACHED) else ()
    step(features, batch)  # traced now, while the detector is as this policy wants it
    return lambda: step(features, batch)


def trace(loss: object, batch: tuple[tf.Tensor, ...]) -> float:
    """Seconds to trace a loss."""
    started = time.perf_counter()
    tf.function(loss, autograph=False).get_concrete_function(*batch)
    return time.perf_counter() - started


def stock_loss(detector: SsdDetector, batch: Batch) -> tf.Tensor:
    """The OD API's own loss, image by image."""
    model = detector._model
    model.provide_groundtruth(
        groundtruth_boxes_list=tf.unstack(batch.boxes),
        groundtruth_classes_list=tf.unstack(tf.one_hot(batch.labels - 1, len(detector.label_map))),
        groundtruth_weights_list=tf.unstack(batch.weights),
    )
    shapes = detector._shapes(BATCH)
    images = model._feature_extractor.preprocess(batch.images)
    return sum(model.loss(model.predict(images, shapes), shapes).values())


if __name__ == "__main__":
    main()
