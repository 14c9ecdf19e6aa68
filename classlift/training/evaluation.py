"""Evaluates the present weights on eval, and draws what they find."""

from collections.abc import Mapping, Sequence

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
        targets: Sequence[str],
        precision: float,
        board: Board | None = None,
    ) -> None:
        self._serve, self._files, self._label_map = serve, files, label_map
        self._targets, self._precision, self._board = tuple(targets), precision, board

    def __call__(self, step: int) -> Evaluation:
        """Evaluates the weights as they are now, at a step."""
        matches = self.matches()
        points = operating_points(matches, self._precision)
        if self._board is not None:
            self._draw(self._board, step, points)
        return Evaluation(
            targets=self._targets,
            recalls=recall_at(matches, points),
            ap50={label: matches.ap50[label] for label in self._targets},
            step=step,
        )

    def _draw(self, board: Board, step: int, points: Mapping[str, float]) -> None:
        """Draws the first images, with each target's detections at its operating point."""
        parsed = next(read_examples(self._files, PICTURES))
        encoded = parsed[ExampleKeys.ENCODED]
        detections = self._serve(encoded)
        classes, scores = detections["detection_classes"], detections["detection_scores"]
        of_targets = [
            (classes == self._label_map.id_of(label)) & (scores >= points[label])
            for label in self._targets
        ]
        shown = tf.reduce_any(of_targets, axis=0)
        boxes = tf.where(shown[..., None], detections["detection_boxes"], 0.0)
        decoded = [tf.io.decode_image(e, 3, expand_animations=False) for e in encoded]
        images = [tf.image.resize(image, [PICTURE_SIDE, PICTURE_SIDE]) for image in decoded]
        board.pictures(step, tf.stack(images), boxes)

    def matches(self) -> Matches:
        """Matches the detections on the whole eval split with its boxes."""
        answers = predict(self._serve, self._files, self._label_map)
        return match(answers.boxes, answers.detections, answers.image_ids, self._label_map.names)
