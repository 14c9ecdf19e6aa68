"""Asks eval what the present weights are worth, and draws what they find."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from classlift.data.label_map import LabelMap
from classlift.data.schema import ExampleKeys
from classlift.detectors.examples import read_examples
from classlift.detectors.export import Serve
from classlift.detectors.predict import predict
from classlift.metrics.curves import operating_points, recall_at
from classlift.metrics.matching import Matches, match
from classlift.training.board import Board
from classlift.training.selection import Judgement

PICTURES, PICTURE_SIDE = 8, 320


class Judge:
    """Predicts the whole eval split with a model's serving signature, which reads its weights.

    files: the records of eval; board: gets pictures of its first images.
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

    def __call__(self, step: int) -> Judgement:
        """The judgement of the weights as they are now, at a step."""
        matches = self.matches()
        points = operating_points(matches, self._precision)
        if self._board is not None:
            self._draw(self._board, step, points[self._target])
        return Judgement(
            target=self._target,
            recalls=recall_at(matches, points),
            ap50=matches.ap50[self._target],
            step=step,
        )

    def _draw(self, board: Board, step: int, threshold: float) -> None:
        """The first images, with what is found of the target at its operating point."""
        parsed = next(read_examples(self._files, PICTURES))
        encoded = parsed[ExampleKeys.ENCODED]
        found = self._serve(encoded)
        is_target = found["detection_classes"] == self._label_map.id_of(self._target)
        shown = is_target & (found["detection_scores"] >= threshold)
        boxes = tf.where(shown[..., None], found["detection_boxes"], 0.0)
        decoded = [tf.io.decode_image(e, 3, expand_animations=False) for e in encoded]
        images = [tf.image.resize(image, [PICTURE_SIDE, PICTURE_SIDE]) for image in decoded]
        board.pictures(step, tf.stack(images), boxes)

    def matches(self, report: Callable[[str], None] = lambda _: None) -> Matches:
        """The matching on eval."""
        found = predict(self._serve, self._files, self._label_map, report)
        return match(found.boxes, found.detections, found.image_ids, self._label_map.names)
