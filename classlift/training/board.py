"""What TensorBoard shows of a training run: losses, recalls, and pictures of predictions."""

from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

from classlift.training.selection import Judgement

ORANGE = [[255.0, 80.0, 0.0]]


class Board:
    """Writes TensorBoard's event files into a folder."""

    def __init__(self, folder: Path) -> None:
        self._writer = tf.summary.create_file_writer(str(folder))

    def training(
        self, step: int, losses: Mapping[str, float], learning_rate: float, rate: float
    ) -> None:
        """The losses by name, the learning rate, and images per second."""
        with self._writer.as_default(step):
            for name, value in losses.items():
                tf.summary.scalar(f"loss/{name}", value)
            tf.summary.scalar("learning_rate", learning_rate)
            tf.summary.scalar("images_per_second", rate)
        self._writer.flush()

    def judgement(self, judgement: Judgement) -> None:
        """Recalls at matched precision on eval, by class, and the AP50 of the target."""
        with self._writer.as_default(judgement.step):
            for label, recall in judgement.recalls.items():
                tf.summary.scalar(f"eval_recall/{label}", recall)
            tf.summary.scalar(f"eval_ap50/{judgement.target}", judgement.ap50)
        self._writer.flush()

    def pictures(self, step: int, images: tf.Tensor, boxes: tf.Tensor) -> None:
        """Images uint8[n, height, width, 3] with boxes [n, m, 4] of the target drawn in."""
        drawn = tf.image.draw_bounding_boxes(tf.cast(images, tf.float32), boxes, ORANGE)
        with self._writer.as_default(step):
            tf.summary.image("predictions", tf.cast(drawn, tf.uint8), max_outputs=len(images))
        self._writer.flush()
