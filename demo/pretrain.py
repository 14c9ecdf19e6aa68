"""Makes the demo's pre-trained model, as somebody did who had few 8s: `demo/model/`.

8000 scenes in which the 8 is rare: 3000 steps from scratch, then 800 with the images that show an
8 drawn eight times as often, so that the class is weak and not absent. Takes a quarter of an hour
on two cores.

    python -m demo.pretrain demo/model
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from classlift.detectors import od_api
from classlift.environment import restart_with

if __name__ == "__main__":
    restart_with(od_api.ENVIRONMENT)

import numpy as np
import tensorflow as tf

from classlift.data.label_map import LabelMap
from classlift.detectors.detector import Batch
from classlift.detectors.od_api.branching import Branched
from classlift.detectors.od_api.ssd import SsdDetector
from classlift.detectors.od_api.zoo_entry import CHECKPOINT, read_config
from classlift.errors import EXIT_OK, ConfigError
from classlift.faults import exit_code_of
from classlift.progress import configure
from classlift.settings.recipe import Recipe
from classlift.training import augmentation
from classlift.training.fit import fit
from demo.scenes import CLASSES, OLD, SIZE, WEAK, scene

OWN = Path(__file__).resolve().parent / "model"
MAX_BOXES = 6
RARE_CLASS_DRAWS = 8.0
PHASES = (
    (1.0, Recipe(freeze_policy="none", steps=3000, learning_rate=3e-3)),
    (RARE_CLASS_DRAWS, Recipe(freeze_policy="none", steps=800, learning_rate=1e-3, seed=1)),
)


def load_scenes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All old scenes: images uint8[n, SIZE, SIZE, 3], yxyx boxes [n, MAX_BOXES, 4], labels."""
    images = np.zeros((OLD.images, SIZE, SIZE, 3), np.uint8)
    boxes = np.zeros((OLD.images, MAX_BOXES, 4), np.float32)
    labels = np.zeros((OLD.images, MAX_BOXES), np.int32)
    for index in range(OLD.images):
        images[index], found = scene(OLD, index)
        for slot, (digit, (xmin, ymin, xmax, ymax)) in enumerate(found):
            boxes[index, slot] = np.array([ymin, xmin, ymax, xmax]) / SIZE
            labels[index, slot] = digit + 1
    return images, boxes, labels


def batches(
    images: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    draws: float,
    recipe: Recipe,
    start: int,
) -> Iterator[Batch]:
    """Augmented batches from `start` on; images with the weak class are drawn `draws` times."""
    rng = np.random.default_rng(recipe.seed)
    odds = np.where((labels == WEAK + 1).any(axis=1), draws, 1.0)

    @tf.function
    def augment(*tensors: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
        seeds = tf.random.split(seed)
        batch = augmentation.zoom(augmentation.photometric(Batch(*tensors), seeds[0]), seeds[1])
        return batch.images, batch.boxes, batch.labels, batch.weights

    for step in range(recipe.steps):
        chosen = rng.choice(len(images), recipe.batch_size, p=odds / odds.sum())
        if step < start:
            continue
        weights = (labels[chosen] > 0).astype(np.float32)
        yield Batch(
            *augment(
                tf.constant(images[chosen], tf.float32),
                tf.constant(boxes[chosen]),
                tf.constant(labels[chosen]),
                tf.constant(weights),
                seed=tf.constant([recipe.seed, step]),
            )
        )


def untrained(entry: Path, classes: Sequence[str] = CLASSES) -> Branched:
    """The detector of an entry's `pipeline.config`, for some classes, with its first weights."""
    tf.random.set_seed(0)
    config = read_config(entry)
    config.model.ssd.num_classes = len(classes)
    return Branched(SsdDetector(config, LabelMap(tuple(classes))))


def train(detector: Branched, images: np.ndarray, boxes: np.ndarray, labels: np.ndarray) -> None:
    """Trains all of a detector on scenes, as `load_scenes` gives them."""
    for draws, recipe in PHASES:
        fit(detector, partial(batches, images, boxes, labels, draws, recipe), recipe)


def main(folder: Path) -> int:
    """Trains, and writes the zoo entry beside the `pipeline.config` that is there.

    Raises ConfigError when there is a checkpoint already and the folder is not the demo's own.
    """
    if folder.resolve() != OWN and (folder / CHECKPOINT).exists():
        raise ConfigError(f"{folder / CHECKPOINT}: it would be overwritten; name another folder.")
    config_text = (folder / "pipeline.config").read_text()
    detector = untrained(folder)
    train(detector, *load_scenes())
    detector.save(folder)
    (folder / "pipeline.config").write_text(config_text)  # with its comments
    return EXIT_OK


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train the demo's pre-trained model.")
    parser.add_argument("folder", type=Path, help="holds pipeline.config, gets the weights")
    arguments = parser.parse_args()
    configure(sys.stdout)
    sys.exit(exit_code_of(lambda: main(arguments.folder)))
