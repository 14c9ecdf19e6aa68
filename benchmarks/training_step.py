"""What freezing and vectorised target assignment give, side by side in one process.

    make bench

Prints, for images of two sizes, images/s of a training step by freeze policy and as a multiple of
full fine-tuning, what one view takes in the cache of features, and the peak memory of a process
that trains so; then the time to trace a step with the OD API's own target assignment, as a multiple
of ours. Steps with cached features have them at hand: reading them is not in the figure.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from classlift.detectors import od_api

os.environ.update(od_api.ENVIRONMENT)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from classlift.data.label_map import LabelMap
from classlift.detectors.detector import Batch
from classlift.detectors.freeze import frozen_names
from classlift.detectors.od_api.branching import Branched
from classlift.detectors.od_api.ssd import SsdDetector
from classlift.detectors.od_api.ssd_branch import SsdBranch
from classlift.detectors.od_api.zoo_entry import read_config
from classlift.settings.freeze import BRANCH_PARTS, POLICIES
from classlift.settings.recipe import Recipe
from classlift.training.step import TrainingStep

ROOT = Path(__file__).resolve().parent.parent
BATCH, BOXES, ROUNDS, STEPS = 32, 4, 5, 3
SIDES = (128, 320)  # px
HALF = 2  # bytes of a number in the cache
CACHED = ", cached features"
ROWS = (*POLICIES, *(f"{policy}{CACHED}" for policy in POLICIES if policy != "none"))
MEASURED = ("none", "target-branch", f"target-branch{CACHED}")
"""Of these, the memory is measured, in a process each."""


def main() -> None:
    """Prints the tables."""
    for side in SIDES:
        print(f"\nTraining step at {side} px, batch {BATCH}, on this machine:\n")
        print("| freeze policy | images/s | against full | cache, KB a view | peak memory, MB |")
        print("|---|---|---|---|---|")
        compare(side)
    compare_tracing()


def compare(side: int) -> None:
    """Prints the rows of one table."""
    detector = demo_model(side)
    steps, sizes = {}, {}
    for name in ROWS:
        steps[name], sizes[name] = training_step(detector, name)
    detector.drop_branches()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):  # in turn, so that a busy moment of the machine meets all of them
        for policy, step in steps.items():
            started = time.perf_counter()
            for _ in range(STEPS):
                step()
            times[policy].append((time.perf_counter() - started) / STEPS)
    for policy, seconds in times.items():
        ratio = median(a / b for a, b in zip(times["none"], seconds, strict=True))
        size = f"{sizes[policy] / 1e3:.0f}" if sizes[policy] else ""
        memory = f"{peak_memory(side, policy):.0f}" if policy in MEASURED else ""
        print(f"| {policy} | {BATCH / median(seconds):.0f} | {ratio:.2f} | {size} | {memory} |")


def compare_tracing() -> None:
    """Prints the time to trace the loss with either target assignment."""
    detector = demo_model(128)
    batch = random_batch(detector)
    stock, ours = [], []
    for _ in range(3):
        ours.append(trace(lambda *t: sum(detector.losses(Batch(*t)).values()), batch))
        stock.append(trace(lambda *t: stock_loss(detector, Batch(*t)), batch))
    ratio = median(a / b for a, b in zip(stock, ours, strict=True))
    print(f"\nTracing the loss: the OD API's own target assignment takes {ratio:.1f} times as long")
    print(f"(medians {median(stock):.1f} s and {median(ours):.1f} s).")


def demo_model(side: int) -> Branched[SsdBranch]:
    """The demo's model for square images of another size, with random weights."""
    config = read_config(ROOT / "demo" / "model")
    resizer = config.model.ssd.image_resizer.fixed_shape_resizer
    resizer.height = resizer.width = side
    labels = LabelMap.read(ROOT / "demo" / "model" / "label_map.pbtxt")
    return Branched(SsdDetector(config, labels))


def peak_memory(side: int, name: str) -> float:
    """MB of a process of its own that trains for a few steps."""
    command = [sys.executable, "-m", "benchmarks.training_step", str(side), name]
    return float(subprocess.check_output(command, cwd=ROOT, text=True, stderr=subprocess.DEVNULL))


def train_alone(side: int, name: str) -> None:
    """Trains for a few steps, and prints the peak memory of this process in MB."""
    step, _ = training_step(demo_model(side), name)
    for _ in range(STEPS):
        step()
    status = Path("/proc/self/status").read_text()  # getrusage would count what started us, too
    print(int(status.split("VmHWM:")[1].split()[0]) / 1e3)  # Linux counts in KB


def random_batch(detector: Branched[SsdBranch], count: int = BATCH) -> tuple[tf.Tensor, ...]:
    """Images and boxes in random places, of the first ten classes."""
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 0.6, (count, BOXES, 2))
    return (
        tf.constant(rng.uniform(0, 255, (count, *detector.frame.size, 3)), tf.float32),
        tf.constant(np.concatenate([low, low + 0.3], axis=-1), tf.float32),
        tf.constant(rng.integers(1, 11, (count, BOXES)), tf.int32),
        tf.ones([count, BOXES]),
    )


def training_step(
    detector: Branched[SsdBranch], name: str, count: int = BATCH
) -> tuple[Callable[..., object], int]:
    """The step of training by a policy on so many images, and the bytes of one view's features, 0
    without.
    """
    policy = name.removesuffix(CACHED)
    detector.drop_branches()
    if policy in BRANCH_PARTS:
        detector.grow_branches(["8"], BRANCH_PARTS[policy])
    trained = detector.freeze(
        frozen_names(policy, list(detector.variables()), detector.trained_branches)
    )
    step = TrainingStep(detector, trained, Recipe(policy, learning_rate=1e-6))
    batch = Batch(*random_batch(detector, count))
    features = detector.features(batch.images) if name.endswith(CACHED) else ()
    step(features, batch)  # traced now, while the detector is as this policy wants it
    size = sum(int(np.prod(feature.shape[1:])) * HALF for feature in features)
    return lambda: step(features, batch), size


def trace(loss: object, batch: tuple[tf.Tensor, ...]) -> float:
    """Seconds to trace a loss."""
    started = time.perf_counter()
    tf.function(loss, autograph=False).get_concrete_function(*batch)
    return time.perf_counter() - started


def stock_loss(detector: Branched[SsdBranch], batch: Batch) -> tf.Tensor:
    """The OD API's own loss, image by image."""
    model = detector.common.model
    model.provide_groundtruth(
        groundtruth_boxes_list=tf.unstack(batch.boxes),
        groundtruth_classes_list=tf.unstack(
            tf.one_hot(batch.labels - 1, detector.label_map.last_id)
        ),
        groundtruth_weights_list=tf.unstack(batch.weights),
    )
    shapes = detector.common.shapes(batch.images.shape[0])
    images = model._feature_extractor.preprocess(batch.images)
    return sum(model.loss(model.predict(images, shapes), shapes).values())


if __name__ == "__main__":
    if sys.argv[1:]:
        train_alone(int(sys.argv[1]), sys.argv[2])
    else:
        main()
