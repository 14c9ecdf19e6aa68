"""Evaluates the present weights on eval, and draws what they find."""

from collections.abc import Sequence

import tensorflow as tf

from classlift.data.label_map import LabelMap
from classlift.data.schema import ExampleKeys
from classlift.detectors.examples import read_examples
from classlift.detectors.export import Serve
from classlift.detectors.predict import predict
from classlift.metrics.curves import operating_points, recall_at
from classlift.metrics.matching import Matches, match
from classlift.training.hooks.board import Board
from classlift.training.selection import Evaluation

PICTURES, PICTURE_SIDE = 8, 320


class Evaluator:
    """Predicts the whole eval split with a model's serving signature, which reads its weights.

    Args:
        files: the records of eval.
        board: gets pictures of its first images.

    """

    def __init__(
        self,
        serve: Serve,
        files: Sequence[str],
        label_map: LabelMap,
        target: str,
        precision: float,
        board: Board | None = None,
    ) -> None:
        self._serve, self._files, self._label_map = serve, files, label_map
        self._target, self._precision, self._board = target, precision, board

    def __call__(self, step: int) -> Evaluation:
        """Evaluates the weights as they are now, at a step."""
        matches = self.matches()
        points = operating_points(matches, self._precision)
        if self._board is not None:
            self._draw(self._board, step, points[self._target])
        return Evaluation(
            target=self._target,
            recalls=recall_at(matches, points),
            ap50=matches.ap50[self._target],
            step=step,
        )

    def _draw(self, board: Board, step: int, threshold: float) -> None:
        """Draws the first images, with the target's detections at its operating point."""
        parsed = next(read_examples(self._files, PICTURES))
        encoded = parsed[ExampleKeys.ENCODED]
        detections = self._serve(encoded)
        is_target = detections["detection_classes"] == self._label_map.id_of(self._target)
        shown = is_target & (detections["detection_scores"] >= threshold)
        boxes = tf.where(shown[..., None], detections["detection_boxes"], 0.0)
        decoded = [tf.io.decode_image(e, 3, expand_animations=False) for e in encoded]
        images = [tf.image.resize(image, [PICTURE_SIDE, PICTURE_SIDE]) for image in decoded]
        board.pictures(step, tf.stack(images), boxes)

    def matches(self) -> Matches:
        """Matches the detections on the whole eval split with its boxes."""
        answers = predict(self._serve, self._files, self._label_map)
        return match(answers.boxes, answers.detections, answers.image_ids, self._label_map.names)
