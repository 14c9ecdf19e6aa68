"""What TensorBoard shows of a training run: losses, recalls, and pictures of predictions."""

import time
from pathlib import Path

import tensorflow as tf

from classlift.training.loop import Hook, Training
from classlift.training.selection import Evaluation

ORANGE = [[255.0, 80.0, 0.0]]

SECONDS = 5.0
"""Between two points of the curves of training."""


class Board(Hook):
    """Writes TensorBoard's event files into a folder."""

    def __init__(self, folder: Path) -> None:
        self._writer = tf.summary.create_file_writer(str(folder))
        self._written = 0.0

    def before_training(self, training: Training) -> None:
        """Starts the clock."""
        self._written = time.monotonic()

    def after_step(self, training: Training) -> None:
        """Writes losses by name, the learning rate, and images per second, when it is time."""
        if not training.is_due and time.monotonic() - self._written < SECONDS:
            return
        with self._writer.as_default(training.done):
            for name, value in training.losses().items():
                tf.summary.scalar(f"loss/{name}", value)
            tf.summary.scalar("learning_rate", training.train_step.learning_rate())
            tf.summary.scalar("images_per_second", training.images_per_second)
        self._writer.flush()
        self._written = time.monotonic()

    def after_evaluation(self, training: Training, evaluation: Evaluation) -> None:
        """Writes recalls at matched precision on eval, by class, and the AP50 of the targets."""
        with self._writer.as_default(evaluation.step):
            for label, recall in evaluation.recalls.items():
                tf.summary.scalar(f"eval_recall/{label}", recall)
            for label, ap50 in evaluation.ap50.items():
                tf.summary.scalar(f"eval_ap50/{label}", ap50)
        self._writer.flush()

    def pictures(self, step: int, images: tf.Tensor, boxes: tf.Tensor) -> None:
        """Writes images uint8[n, height, width, 3] with boxes [n, m, 4] of the targets drawn in."""
        drawn = tf.image.draw_bounding_boxes(tf.cast(images, tf.float32), boxes, ORANGE)
        with self._writer.as_default(step):
            tf.summary.image("predictions", tf.cast(drawn, tf.uint8), max_outputs=len(images))
        self._writer.flush()
