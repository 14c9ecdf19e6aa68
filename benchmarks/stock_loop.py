"""What an image of training costs, against the plain loop of the OD API, in one process.

    python -m benchmarks.stock_loop CONFIG

The plain loop is that of the OD API's own example of fine-tuning: its targets and its losses, image
by image, the gradients of all variables, SGD with momentum. Beside it stand the default, a branch
of the head, with its features computed in each step and with features that were kept, and full
fine-tuning. All take the same images, which lie decoded in the memory, in turn; the weights are
random. Kept features have to be made once, which costs what a forward pass does: that is a row of
its own.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from classlift.detectors import od_api
from classlift.environment import restart_with

if __name__ == "__main__":
    restart_with(od_api.ENVIRONMENT)

import tensorflow as tf

from benchmarks.training_step import CACHED, random_batch, stock_loss, training_step
from classlift.data.label_map import LabelMap
from classlift.detectors.detector import Batch
from classlift.detectors.od_api.branching import Branched
from classlift.detectors.od_api.outline import CONFIG
from classlift.detectors.od_api.ssd import SsdDetector
from classlift.detectors.od_api.zoo_entry import learning_phase, read_config
from classlift.settings.freeze import TARGET_BRANCH

Step = Callable[[], object]


def main() -> None:
    """Prints a row a way of training."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path, help="of an SSD of the model zoo")
    parser.add_argument("--images", type=int, default=8, help="of a batch")
    parser.add_argument("--rounds", type=int, default=3, help="of one step of each way, in turn")
    arguments = parser.parse_args()
    detector = random_detector(arguments.config)
    batch = Batch(*random_batch(detector, arguments.images))
    ways: dict[str, Step] = {"plain loop": plain(detector, batch)}
    policies = {
        "full fine-tuning": "none",
        "default": TARGET_BRANCH,
        "default, features kept": f"{TARGET_BRANCH}{CACHED}",
    }
    for name, policy in policies.items():
        ways[name], _ = training_step(detector, policy, arguments.images)
    features = tf.function(detector.features, autograph=False)
    features(batch.images)  # traced now
    ways["to make features"] = lambda: features(batch.images)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, step in ways.items():
            before = time.process_time()
            step()
            seconds[name].append((time.process_time() - before) / arguments.images)
    print("| way | CPU s an image | of the plain loop's |\n|---|---|---|")
    for name, found in seconds.items():
        ratio = median(a / b for a, b in zip(seconds["plain loop"], found, strict=True))
        print(f"| {name} | {median(found):.4f} | 1/{ratio:.1f} |")


def random_detector(config: Path) -> Branched:
    """The model of a config with random weights, and as many classes as it has."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / CONFIG).write_text(config.read_text())
        read = read_config(Path(folder))
    count = read.model.ssd.num_classes
    return Branched(SsdDetector(read, LabelMap(tuple(map(str, range(1, count + 1))))))


def plain(detector: Branched, batch: Batch) -> Step:
    """A step of the plain loop, traced."""
    model = detector.common.model
    optimizer = tf.keras.optimizers.legacy.SGD(1e-6, momentum=0.9)

    @tf.function
    def step() -> tf.Tensor:
        with learning_phase(True), tf.GradientTape() as tape:
            loss = stock_loss(detector, batch) + tf.add_n(model.regularization_losses())
        trained = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, trained), trained, strict=True))
        return loss

    step()
    return step


if __name__ == "__main__":
    sys.exit(main())
