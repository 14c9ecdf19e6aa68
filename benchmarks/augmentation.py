"""What augmentation and target assignment take, against the plain way, side by side in one process.

    make bench

Prints CPU milliseconds of one image, at two sizes of image, for batches of 16 with 16 boxes of
which two are of the branch's class, as street scenes have them.
"""

import sys
import time
from collections.abc import Callable, Mapping
from statistics import median

from classlift.detectors import od_api
from classlift.environment import restart_with

if __name__ == "__main__":
    restart_with({**od_api.ENVIRONMENT, "TF_CPP_MIN_LOG_LEVEL": "3"})

import tensorflow as tf

from classlift.detectors.detector import Batch
from classlift.training import augmentation

BATCH, BOXES, OWN, ROUNDS = 16, 16, 2, 15
SIDES = (128, 320)  # px


def plain_photometric(batch: Batch, seed: tf.Tensor) -> tf.Tensor:
    """The images of `augmentation.photometric`, pixel by pixel."""
    contrast, brightness, colour = augmentation.light(tf.shape(batch.images)[0], seed)
    mean = tf.reduce_mean(batch.images, axis=[1, 2], keepdims=True)
    images = ((batch.images - mean) * contrast + mean) * colour + brightness
    return tf.clip_by_value(images, 0.0, 255.0)


def plain_flip(batch: Batch, seed: tf.Tensor) -> tf.Tensor:
    """The images of `augmentation.flip`, by a mask of pixels."""
    chosen = tf.random.stateless_uniform([tf.shape(batch.images)[0]], seed) < 0.5
    return tf.where(chosen[:, None, None, None], batch.images[:, :, ::-1], batch.images)


def main() -> None:
    """Prints the table."""
    print("| what | image, px | plain, ms | now, ms | ratio |\n|---|---|---|---|---|")
    for side in SIDES:
        for name, ways in cases(side).items():
            plain, now = measured(ways)
            print(f"| {name} | {side} | {plain:.2f} | {now:.2f} | {now / plain:.2f} |")


def cases(side: int) -> dict[str, dict[str, Callable[[], object]]]:
    """By name, the plain way and that of now."""
    from benchmarks.training_step import demo_model

    images = tf.random.stateless_uniform([BATCH, side, side, 3], [0, 1], 0.0, 255.0)
    low = tf.random.stateless_uniform([BATCH, BOXES, 2], [0, 2], 0.0, 0.7)
    boxes = tf.concat([low, low + 0.2], axis=-1)
    own = tf.tile(tf.range(BOXES)[None] < OWN, [BATCH, 1])
    labels = tf.cast(own, tf.int32)
    batch, seed = Batch(images, boxes, labels, tf.cast(own, tf.float32)), tf.constant([1, 2])
    assign = demo_model(side).common.assign

    def graph(way: Callable[[Batch], object]) -> Callable[[], object]:
        traced = tf.function(lambda *tensors: way(Batch(*tensors)), autograph=False)
        return lambda: traced(*vars(batch).values())

    def targets(way: Callable[..., object]) -> Callable[[Batch], object]:
        return lambda b: vars(way(b.boxes, b.labels, b.weights))

    return {
        "photometric": {
            "plain": graph(lambda b: plain_photometric(b, seed)),
            "now": graph(lambda b: augmentation.photometric(b, seed).images),
        },
        "flip": {
            "plain": graph(lambda b: plain_flip(b, seed)),
            "now": graph(lambda b: augmentation.flip(b, seed).images),
        },
        "targets": {
            "plain": graph(targets(assign.of_padded)),
            "now": graph(targets(assign)),
        },
    }


def measured(ways: Mapping[str, Callable[[], object]]) -> list[float]:
    """CPU milliseconds of one image by each way, in turn."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(ROUNDS + 1):
        for name, way in ways.items():
            before = time.process_time()
            way()
            if number:  # the first is traced
                taken[name].append((time.process_time() - before) / BATCH * 1e3)
    return [median(found) for found in taken.values()]


if __name__ == "__main__":
    sys.exit(main())
