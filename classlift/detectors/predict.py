"""Predictions of an exported model on Examples, as tables. Needs TensorFlow alone."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from classlift.data.images import encoded_for_tensorflow
from classlift.data.label_map import LabelMap
from classlift.data.predictions import Predictions
from classlift.data.schema import DETECTIONS, OBJECTS, ExampleKeys
from classlift.detectors.examples import labelled_boxes, read_distinct, read_examples
from classlift.detectors.export import FEATURES, OUTPUTS, Describe, Serve
from classlift.errors import ModelError
from classlift.metrics.iou import iou, iou_matrix
from classlift.progress import Countdown

logger = logging.getLogger(__name__)

BATCH = 32
SIDES = ["xmin", "ymin", "xmax", "ymax"]

UNLABELLED = 3
"""How many detections of nothing are described in each image: what the class must be told from."""

APART = 0.3
"""IoU below which two boxes are not of one object."""


def load_signature(saved_model: Path) -> Serve:
    """Loads what answers a batch of JPEG and PNG files.

    It is a SavedModel's `serving_encoded` signature, or, for what the OD API exported, its default
    one, image by image.

    Args:
        saved_model: its folder.

    Returns:
        A function from encoded images, string[batch], to the detections by the OD API's names.

    Raises:
        ModelError: it has neither.

    """
    return load_signatures(saved_model)[0]


def load_signatures(saved_model: Path) -> tuple[Serve, Describe | None]:
    """The same, and its `object_features`, or None when it has none."""
    model = tf.saved_model.load(str(saved_model))
    for signature in model.signatures.values():
        signature._classlift_model = model  # it does not keep its model's variables alive
    default = model.signatures.get("serving_default")
    if "serving_encoded" in model.signatures:
        return model.signatures["serving_encoded"], model.signatures.get(FEATURES)
    if default is None or not set(OUTPUTS) <= set(default.structured_outputs):
        raise ModelError(
            f"{saved_model}: no signature answers with {', '.join(OUTPUTS)}; export the model with "
            "the OD API's exporter_main_v2."
        )
    return _one_by_one(default), None


def signatures_of(saved_model: Path) -> frozenset[str]:
    """The names of a SavedModel's signatures, without loading it."""
    document = SavedModel.FromString((saved_model / "saved_model.pb").read_bytes())
    return frozenset(name for graph in document.meta_graphs for name in graph.signature_def)


def _one_by_one(signature: Any) -> Serve:
    """A signature that takes an image as uint8[1, height, width, 3], for a batch of files."""
    (name,) = signature.structured_input_signature[1]

    def serve(encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        images = (tf.io.decode_image(e, channels=3, expand_animations=False) for e in encoded)
        answers = [signature(**{name: image[None]}) for image in images]
        return {key: tf.concat([answer[key] for answer in answers], axis=0) for key in OUTPUTS}

    return serve


def predict(
    serve: Serve,
    files: Sequence[str],
    label_map: LabelMap,
    images: int | None = None,
    done: Callable[[int], None] = lambda images: None,
) -> Predictions:
    """Runs a signature over the record files of one split.

    Args:
        serve: of `load_signature`.
        files: of records.
        label_map: of the model.
        images: about so many alone, each once; None for all.
        done: is called after each batch with the number of its images.

    Returns:
        Its detections, beside the labels of the same images, in pixels.

    Raises:
        ModelError: the model answers with a class id that the label map does not have.

    """
    batches = read_examples(files, BATCH) if images is None else read_distinct(files, BATCH, images)

    def answers() -> Iterator[Predictions]:
        for parsed in batches:
            answer = _answer(serve, parsed, label_map)
            done(len(answer.image_ids))
            yield answer

    return Predictions.join(answers())


def describe_objects(
    describe: Describe, files: Sequence[str], found: Predictions, images: int
) -> pa.Table:
    """Describes objects of about the first so many images of record files by their features.

    Described are the labelled objects, but crowds, and of each image the `UNLABELLED` detections of
    highest score that have no object at their place.

    Args:
        describe: gives the features at boxes of an image.
        files: of records.
        found: the predictions for these images.
        images: how many are enough.

    Returns:
        A table as `schema.OBJECTS`.

    """
    objects = [OBJECTS.empty_table()]
    boxes = found.boxes.filter(pc.invert(found.boxes["is_crowd"]))
    boxes_of, detections_of = _rows_by_image(boxes), _rows_by_image(found.detections)
    labels, box_ids = boxes["label"].to_pylist(), boxes["box_id"].to_pylist()
    corners, detected = _corners(boxes), _corners(found.detections)
    scores = found.detections["score"].to_numpy()
    for parsed in read_distinct(files, BATCH, images):
        ids = [image_id.decode() for image_id in parsed[ExampleKeys.SOURCE_ID].numpy()]
        places = []
        for image_id in ids:
            own, seen = boxes_of.get(image_id, _NONE), detections_of.get(image_id, _NONE)
            others = unlabelled(corners[own], detected[seen], scores[seen])
            places.append(
                Places(
                    [*(box_ids[row] for row in own), *[-1] * len(others)],
                    [*(labels[row] for row in own), *[""] * len(others)],
                    np.concatenate([corners[own], detected[seen][others]]),
                )
            )
        objects += _describe(describe, parsed, ids, places)
    return pa.concat_tables(objects)


_NONE = np.empty(0, np.int64)


@dataclass(frozen=True)
class Places:
    """What is described of one image.

    Attributes:
        box_ids: of labelled boxes, -1 for other places.
        labels: empty for these.
        corners: float32[places, 4], xmin, ymin, xmax, ymax in pixels.

    """

    box_ids: list[int]
    labels: list[str]
    corners: npt.NDArray[np.float32]


def _rows_by_image(table: pa.Table) -> dict[str, npt.NDArray[np.int64]]:
    """The rows of each image, in their order."""
    ids = table["image_id"].to_pandas()
    found: dict[str, npt.NDArray[np.int64]] = ids.groupby(ids).indices
    return found


def _corners(table: pa.Table) -> npt.NDArray[np.float32]:
    """[rows, 4], xmin, ymin, xmax, ymax."""
    return np.stack([table[side].to_numpy() for side in SIDES], axis=-1)


def _describe(
    describe: Describe,
    parsed: dict[str, tf.Tensor],
    ids: list[str],
    places: list[Places],
) -> Iterator[pa.Table]:
    """`schema.OBJECTS` of a batch, a table an image."""
    widths, heights = (parsed[key].numpy() for key in (ExampleKeys.WIDTH, ExampleKeys.HEIGHT))
    boxes = np.zeros((len(places), max(len(own.labels) for own in places), 4), np.float32)
    for number, own in enumerate(places):
        extent = np.array([heights[number], widths[number]] * 2)
        boxes[number, : len(own.labels)] = own.corners[:, [1, 0, 3, 2]] / extent
    answer = describe(encoded=parsed[ExampleKeys.ENCODED], boxes=tf.constant(boxes))
    features, sides = answer["features"].numpy(), answer["sides"].numpy()
    for number, (image_id, own) in enumerate(zip(ids, places, strict=True)):
        count = len(own.labels)
        columns = {
            "image_id": [image_id] * count,
            "box_id": own.box_ids,
            "label": own.labels,
            "side": sides[number, :count],
            "features": list(features[number, :count]),
        }
        yield pa.table(columns, OBJECTS)


def unlabelled(
    boxes: npt.NDArray[np.float32],
    detections: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
) -> list[int]:
    """The detections of one image that have no object at their place; of those at one place, the
    surest.

    Args:
        boxes: [boxes, 4], xmin, ymin, xmax, ymax of its labelled objects, in pixels.
        detections: [detections, 4], in it.
        scores: of the detections.

    Returns:
        At most `UNLABELLED` of the detections, the surest first.

    """
    corners = detections.astype(np.float64)
    overlap = iou_matrix(corners, boxes.astype(np.float64)).max(axis=1, initial=0.0)
    left = [row for row in np.argsort(-scores, kind="stable") if overlap[row] < APART]
    kept: list[int] = []
    while left and len(kept) < UNLABELLED:
        surest = left.pop(0)
        kept.append(int(surest))
        is_near = iou(corners[left], corners[surest]) >= APART
        left = [row for row, near in zip(left, is_near, strict=True) if not near]
    return kept


def _answer(serve: Serve, parsed: dict[str, tf.Tensor], label_map: LabelMap) -> Predictions:
    """What a model says of one batch."""
    ids = [image_id.decode() for image_id in parsed[ExampleKeys.SOURCE_ID].numpy()]
    found = {k: v.numpy() for k, v in serve(parsed[ExampleKeys.ENCODED]).items()}
    widths, heights = parsed[ExampleKeys.WIDTH].numpy(), parsed[ExampleKeys.HEIGHT].numpy()
    detections = _detections(found, ids, widths, heights, label_map)
    return Predictions(
        tuple(ids), labelled_boxes(parsed), _of_labelled(detections, ids, parsed, label_map)
    )


def _of_labelled(
    detections: pa.Table, ids: list[str], parsed: dict[str, tf.Tensor], label_map: LabelMap
) -> pa.Table:
    """Leaves out detections of classes that their image is not labelled for.

    Nobody knows whether they are right.

    Returns:
        The other detections.

    """
    unlabelled = parsed[ExampleKeys.UNLABELLED]
    pairs = zip(unlabelled.indices.numpy()[:, 0], unlabelled.values.numpy(), strict=True)
    unknown = {(ids[row], label_map.name_of(int(number))) for row, number in pairs}
    if not unknown:
        return detections
    found = zip(detections["image_id"].to_pylist(), detections["label"].to_pylist(), strict=True)
    return detections.filter(pa.array([pair not in unknown for pair in found], pa.bool_()))


def predict_images(
    serve: Serve,
    images: pa.Table,
    label_map: LabelMap,
) -> pa.Table:
    """Runs a signature over the images of a snapshot.

    Args:
        serve: of `load_signature`.
        images: rows of `schema.IMAGES`.
        label_map: of the model.

    Returns:
        A table as `schema.DETECTIONS`, in pixels.

    Raises:
        ModelError: the model answers with a class id that the label map does not have.
        DataError: an image can't be read or decoded.

    """
    detections = [DETECTIONS.empty_table()]
    countdown = Countdown(logger, images.num_rows, "images")
    for start in range(0, images.num_rows, BATCH):
        rows = images.slice(start, BATCH)
        encoded = tf.constant(encoded_for_tensorflow(rows))
        found = {k: v.numpy() for k, v in serve(encoded).items()}
        ids = rows["image_id"].to_pylist()
        widths, heights = rows["width"].to_numpy(), rows["height"].to_numpy()
        detections.append(_detections(found, ids, widths, heights, label_map))
        countdown.add(rows.num_rows)
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
    if len(classes) and not 1 <= classes.min() <= classes.max() <= label_map.last_id:
        raise ModelError(
            f"The model answers with class ids from {classes.min()} to {classes.max()}, the "
            f"label map has {label_map.ids[0]} to {label_map.last_id}: they do not belong together."
        )
    # An export of the OD API also answers with ids that the label map leaves out: no class.
    is_named = np.isin(classes, label_map.ids)
    rows, columns, classes = rows[is_named], columns[is_named], classes[is_named]
    ymin, xmin, ymax, xmax = found["detection_boxes"][rows, columns].T
    return pa.table(
        {
            "image_id": [image_ids[row] for row in rows.tolist()],
            "label": [label_map.name_of(class_id) for class_id in classes],
            "score": found["detection_scores"][rows, columns],
            "xmin": xmin * widths[rows],
            "ymin": ymin * heights[rows],
            "xmax": xmax * widths[rows],
            "ymax": ymax * heights[rows],
        }
    ).cast(DETECTIONS)
