"""Export to a SavedModel with the OD API's signature, for any batch size, with no Keras inside.

The OD API's own exporter fixes the batch at one image and, given eight, answers for one.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import tensorflow as tf

from classlift.detectors.detector import Detector
from classlift.detectors.frame import Frame
from classlift.detectors.freeze import is_auxiliary

OUTPUTS = ("detection_boxes", "detection_classes", "detection_scores", "num_detections")

FEATURES = "object_features"
"""The signature for the diagnosis."""

Serve = Callable[[tf.Tensor], dict[str, tf.Tensor]]
"""A serving signature: a batch in, the detections of `OUTPUTS` out."""

Describe = Callable[..., dict[str, tf.Tensor]]
"""The signature `object_features`."""


class Serving(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """A detector's two signatures, for any batch size.

    They read the detector's variables when they are called, so one tracing serves training and
    export alike; what training does not ask for is traced when it is written. Only the variables
    are saved; the model itself stays in a closure, untracked.
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        variables = detector.variables().items()
        self.weights = [v for name, v in variables if not is_auxiliary(name)]
        frame = detector.frame

        def find(images: tf.Tensor, taken: tf.Tensor) -> dict[str, tf.Tensor]:
            found = {name: tf.cast(v, tf.float32) for name, v in detector.detect(images).items()}
            found["detection_boxes"] = frame.to_image(found["detection_boxes"], taken[:, None])
            return {name: found[name] for name in OUTPUTS}

        def detect_all(images: tf.Tensor) -> dict[str, tf.Tensor]:
            fitted, taken = frame.fit(images)
            whole = tf.tile(taken[None], [tf.shape(images)[0], 1])
            found: dict[str, tf.Tensor] = detect(fitted, whole)
            return found

        def detect_encoded(encoded: tf.Tensor) -> dict[str, tf.Tensor]:
            found: dict[str, tf.Tensor] = detect(*_fitted(encoded, frame))
            return found

        # Both signatures call one graph: half the file, half the time to write and to load it.
        # Without AutoGraph, which rewrites all the code it meets: the detectors need none of it.
        detect = tf.function(find, autograph=False).get_concrete_function(
            tf.TensorSpec([None, *frame.size, 3], tf.float32), tf.TensorSpec([None, 4], tf.float32)
        )
        self._default = tf.function(
            detect_all,
            input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, "input_tensor")],
            autograph=False,
        )
        self.encoded = tf.function(
            detect_encoded,
            input_signature=[tf.TensorSpec([None], tf.string, "encoded")],
            autograph=False,
        ).get_concrete_function()

        def describe(encoded: tf.Tensor, boxes: tf.Tensor) -> dict[str, tf.Tensor]:
            images, taken = _fitted(encoded, frame)
            boxes = frame.to_frame(boxes, taken[:, None])
            if frame.centred == "crop":
                boxes = tf.clip_by_value(boxes, 0.0, 1.0)
            ymin, xmin, ymax, xmax = tf.unstack(boxes, axis=-1)
            areas = (ymax - ymin) * (xmax - xmin) * frame.height * frame.width
            return {
                "features": tf.cast(detector.describe(images, boxes), tf.float32),
                "sides": tf.sqrt(tf.maximum(areas, 0.0)),
            }

        self._features = None
        if detector.can_describe:
            self._features = tf.function(
                describe,
                input_signature=[
                    tf.TensorSpec([None], tf.string, "encoded"),
                    tf.TensorSpec([None, None, 4], tf.float32, "boxes"),
                ],
                autograph=False,
            )

    @property
    def default(self) -> Serve:
        """The signature `serving_default`."""
        found: Serve = self._default.get_concrete_function()
        return found

    def write(self, folder: Path) -> None:
        """Writes the SavedModel.

        Signatures: `serving_default(input_tensor: uint8[batch, height, width, 3])` and
        `serving_encoded(encoded: string[batch])` for JPEG and PNG files, both to float32
        `detection_boxes` [batch, n, 4] (ymin, xmin, ymax, xmax in 0..1), `detection_classes`
        [batch, n] from 1, `detection_scores` [batch, n] and `num_detections` [batch]. Where the
        detector can describe, also `object_features(encoded: string[batch], boxes: float32[batch,
        n, 4])` to `features` [batch, n, depth] and `sides` [batch, n], of the boxes' areas in
        pixels of the frame.
        """
        signatures = {"serving_default": self.default, "serving_encoded": self.encoded}
        if self._features is not None:
            signatures[FEATURES] = self._features.get_concrete_function()
        tf.saved_model.save(self, os.fspath(folder), signatures=signatures)


def _fitted(encoded: tf.Tensor, frame: Frame) -> tuple[tf.Tensor, tf.Tensor]:
    """Images [batch, height, width, 3] of the frame from encoded ones, and the shares they take."""

    def decode(one: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return frame.fit(tf.io.decode_image(one, channels=3, expand_animations=False))

    images, taken = tf.map_fn(decode, encoded, fn_output_signature=(tf.float32, tf.float32))
    return tf.ensure_shape(images, [None, *frame.size, 3]), taken


Evidence = Callable[[tf.Tensor], Mapping[str, dict[str, tf.Tensor]]]
"""A batch of encoded images in; by class with a branch that training means, its detections as
`OUTPUTS` has them, and `evidence` [batch, n, inputs] of each."""


def evidence(detector: Detector) -> Evidence:
    """What a verifier of a detector may know of detections in JPEG and PNG files."""
    frame = detector.frame

    def ask(encoded: tf.Tensor) -> dict[str, dict[str, tf.Tensor]]:
        images, taken = _fitted(encoded, frame)
        return {
            label: {
                **found.as_od_api(),
                "detection_boxes": frame.to_image(found.boxes, taken[:, None]),
                "evidence": known,
            }
            for label, (found, known) in detector.evidence(images).items()
        }

    traced: Evidence = tf.function(
        ask, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False
    )
    return traced


def export(detector: Detector, folder: Path) -> Serve:
    """Writes a detector's SavedModel; returns its `serving_encoded` signature."""
    serving = Serving(detector)
    serving.write(folder)
    found: Serve = serving.encoded
    return found
