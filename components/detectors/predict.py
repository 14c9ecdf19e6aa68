"""Predictions of an exported model on Examples, as tables. Needs TensorFlow alone."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import tensorflow as tf

from components.dataset.label_map import LabelMap
from components.dataset.media import read_bytes
from components.dataset.predictions import Predictions
from components.dataset.schema import DETECTIONS, ExampleKeys
from components.detectors.examples import labelled_boxes, read_examples
from components.detectors.export import Serve
from components.errors import ModelError

BATCH = 32


def load_signature(saved_model: Path) -> Serve:
    """Loads a SavedModel's `serving_encoded` signature. Raises ModelError when it has none."""
    model = tf.saved_model.load(str(saved_model))
    if "serving_encoded" not in model.signatures:
        raise ModelError(f"{saved_model}: the export has no signature `serving_encoded`.")
    signature = model.signatures["serving_encoded"]
    signature._classlift_model = model  # a signature does not keep its model's variables alive
    return signature


def predict(
    serve: Serve,
    files: Sequence[str],
    label_map: LabelMap,
    report: Callable[[str], None] = print,
) -> Predictions:
    """Runs a `serving_encoded` signature over the record files of one split.

    Raises ModelError when the model answers with a class id that the label map does not have.
    """
    parts = []
    for parsed in read_examples(files, BATCH):
        ids = [image_id.decode() for image_id in parsed[ExampleKeys.SOURCE_ID].numpy()]
        found = {k: v.numpy() for k, v in serve(parsed[ExampleKeys.ENCODED]).items()}
        extents = [parsed[key].numpy() for key in (ExampleKeys.WIDTH, ExampleKeys.HEIGHT)]
        detections = _detections(found, ids, *extents, label_map)
        parts.append(Predictions(tuple(ids), labelled_boxes(parsed), detections))
    predictions = Predictions.join(parts)
    report(f"{len(predictions.image_ids)} images predicted")
    return predictions


def predict_images(
    serve: Serve,
    images: pa.Table,
    label_map: LabelMap,
    report: Callable[[str], None] = print,
) -> pa.Table:
    """`schema.DETECTIONS` of a `serving_encoded` signature for the images of a snapshot.

    Raises ModelError when the model answers with a class id that the label map does not have.
    """
    detections = [DETECTIONS.empty_table()]
    for start in range(0, images.num_rows, BATCH):
        rows = images.slice(start, BATCH)
        encoded = tf.constant([read_bytes(uri) for uri in rows["uri"].to_pylist()])
        found = {k: v.numpy() for k, v in serve(encoded).items()}
        extents = [rows[side].to_numpy() for side in ("width", "height")]
        detections.append(_detections(found, rows["image_id"].to_pylist(), *extents, label_map))
        if start % (BATCH * 32) == 0:
            report(f"{start} of {images.num_rows} images predicted")
    return pa.concat_tables(detections)


def _detections(
    found: dict[str, np.ndarray],
    image_ids: Sequence[str],
    widths: np.ndarray,
    heights: np.ndarray,
    label_map: LabelMap,
) -> pa.Table:
    slots = np.arange(found["detection_scores"].shape[1])
    rows, columns = np.nonzero(slots < found["num_detections"][:, None])
    classes = found["detection_classes"][rows, columns].astype(int)
    if len(classes) and not 1 <= classes.min() <= classes.max() <= len(label_map):
        raise ModelError(
            f"The model answers with class ids from {classes.min()} to {classes.max()}, the "
            f"label map has 1 to {len(label_map)}: they do not belong together."
        )
    ymin, xmin, ymax, xmax = found["detection_boxes"][rows, columns].T
    return pa.table(
        {
            "image_id": [image_ids[row] for row in rows],
            "label": [label_map.name_of(class_id) for class_id in classes],
            "score": found["detection_scores"][rows, columns],
            "xmin": xmin * widths[rows],
            "ymin": ymin * heights[rows],
            "xmax": xmax * widths[rows],
            "ymax": ymax * heights[rows],
        }
    ).cast(DETECTIONS)
