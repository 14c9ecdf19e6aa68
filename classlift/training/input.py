"""The training input: tf.data from Examples to augmented batches, in an order fixed by the seed."""

import os
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from classlift.data.label_map import LabelMap
from classlift.data.schema import ExampleKeys
from classlift.detectors.detector import Batch
from classlift.detectors.examples import FEATURES, reading_options
from classlift.detectors.frame import Frame
from classlift.settings.recipe import Recipe
from classlift.training import augmentation

SHUFFLE_BUFFER = 4096
"""Records, still encoded: a few hundred MB for photographs."""

MAX_BOXES = 100
"""Boxes of one image that training sees; as `max_number_of_boxes` of the OD API's configs."""


def training_batches(
    files: Sequence[str],
    frame: Frame,
    label_map: LabelMap,
    recipe: Recipe,
    start: int = 0,
    targets: Sequence[str] = (),
) -> Iterator[Batch]:
    """Reads what training is shown, augmented, from the record files of one split.

    Crowd boxes are left out, as the OD API does.

    Args:
        files: of records.
        frame: that the images are put into.
        label_map: of the model.
        recipe: says the size of a batch, the augmentation, the class weights and the seed.
        start: the number of the first batch; those before it are left out, and not decoded.
        targets: the classes that branches learn. Images that are not labelled for one are regions
            of it, see `Batch`.

    Yields:
        Batches without end.

    """
    numbers = tf.constant([label_map.id_of(target) for target in targets], tf.int32)
    by_id = np.zeros(label_map.last_id + 1, np.float32)
    by_id[list(label_map.ids)] = [recipe.class_weights.get(name, 1.0) for name in label_map]
    weights = tf.constant(by_id)

    def load(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        parsed = tf.io.parse_single_example(record, FEATURES)
        image = tf.io.decode_image(parsed[ExampleKeys.ENCODED], 3, expand_animations=False)
        fitted, taken = frame.fit(image)
        boxes, labels = _boxes(parsed)
        boxes = frame.to_frame(boxes, taken)
        if frame.centred == "crop":
            boxes = tf.clip_by_value(boxes, 0.0, 1.0)
            is_seen = tf.reduce_all(boxes[:, 2:] > boxes[:, :2], axis=-1)
            labels = tf.where(is_seen, labels, 0)
        if targets:
            unlabelled = tf.cast(parsed[ExampleKeys.UNLABELLED].values, tf.int32)
            is_region = tf.reduce_any(unlabelled[:, None] == numbers, axis=0)
            whole = tf.constant([[0.0, 0.0, 1.0, 1.0]])
            boxes = tf.concat([boxes, tf.where(is_region[:, None], whole, 0.0)], axis=0)
            labels = tf.concat([labels, tf.where(is_region, -numbers, 0)], axis=0)
        return fitted, boxes, labels

    def augment(
        index: tf.Tensor, images: tf.Tensor, boxes: tf.Tensor, labels: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        batch = Batch(images, boxes, labels, tf.gather(weights, tf.maximum(labels, 0)))
        seeds = tf.random.split(tf.stack([tf.cast(recipe.seed, tf.int64), index]), 4)
        if recipe.mosaic:
            batch = augmentation.mosaic(batch, seeds[2], recipe.mosaic)
        if recipe.flip:
            batch = augmentation.flip(batch, seeds[3])
        if recipe.augmentation:
            batch = augmentation.zoom(augmentation.photometric(batch, seeds[0]), seeds[1])
        return batch.images, batch.boxes, batch.labels, batch.weights

    cores = os.cpu_count() or 1
    dataset = (
        tf.data.TFRecordDataset(list(files))
        .shuffle(SHUFFLE_BUFFER, seed=recipe.seed, reshuffle_each_iteration=True)
        .repeat()
        .skip(start * recipe.batch_size)
        .map(load, num_parallel_calls=cores, deterministic=True)
        .padded_batch(
            recipe.batch_size,
            padded_shapes=([*frame.size, 3], [None, 4], [None]),
            drop_remainder=True,
        )
        .enumerate(start)
        .map(
            lambda index, tensors: augment(index, *tensors),
            num_parallel_calls=cores,
            deterministic=True,
        )
        .prefetch(2)
    )
    options = reading_options()
    options.threading.private_threadpool_size = cores  # training may have one thread
    for tensors in dataset.with_options(options):
        yield Batch(*tensors)


def _boxes(parsed: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Up to MAX_BOXES boxes as ymin, xmin, ymax, xmax in 0..1, and their labels, both padded."""
    sides = (ExampleKeys.YMIN, ExampleKeys.XMIN, ExampleKeys.YMAX, ExampleKeys.XMAX)
    boxes = tf.stack([parsed[side].values for side in sides], axis=-1)
    single = parsed[ExampleKeys.IS_CROWD].values == 0
    labels = tf.cast(parsed[ExampleKeys.LABEL].values, tf.int32)
    # One padding box at least, so that a batch without objects is a batch like any other.
    return (
        tf.pad(boxes[single][:MAX_BOXES], [[0, 1], [0, 0]]),
        tf.pad(labels[single][:MAX_BOXES], [[0, 1]]),
    )
