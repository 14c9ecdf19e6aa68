"""Box-aware augmentation of whole batches; every random number comes from the seed given."""

import tensorflow as tf

from classlift.detectors.detector import Batch

MIN_VISIBLE = 0.6
"""A box stays when at least this share of its area is still in the picture."""


def photometric(batch: Batch, seed: tf.Tensor) -> Batch:
    """Random contrast, brightness and colour of each image, within the range of ordinary photos."""
    count = tf.shape(batch.images)[0]
    contrast, brightness, colour = light(count, seed)
    mean = tf.reduce_mean(batch.images, axis=[1, 2], keepdims=True)
    height, width = batch.images.shape[1:3]

    def rows(values: tf.Tensor) -> tf.Tensor:  # of as many numbers as a row of pixels has
        return tf.reshape(tf.broadcast_to(values, [count, 1, width, 3]), [count, 1, 3 * width])

    # Row by row, TensorFlow is more than twice as fast as pixel by pixel.
    images = tf.reshape(batch.images, [count, height, 3 * width])
    images = ((images - rows(mean)) * rows(contrast) + rows(mean)) * rows(colour) + rows(brightness)
    images = tf.reshape(tf.clip_by_value(images, 0.0, 255.0), tf.shape(batch.images))
    return Batch(images, batch.boxes, batch.labels, batch.weights)


def light(count: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Draws what `photometric` changes of so many images.

    Args:
        count: of images.
        seed: int32 or int64[2].

    Returns:
        Contrast and brightness [images, 1, 1, 1], and colour [images, 1, 1, 3].

    """
    seeds = tf.random.split(seed, 3)
    return (
        tf.random.stateless_uniform([count, 1, 1, 1], seeds[0], 0.75, 1.3),
        tf.random.stateless_uniform([count, 1, 1, 1], seeds[1], -25.0, 25.0),
        tf.random.stateless_uniform([count, 1, 1, 3], seeds[2], 0.85, 1.15),
    )


def zoom(batch: Batch, seed: tf.Tensor) -> Batch:
    """Zooms each image by up to a fifth, in or out, and shifts it by up to a tenth of its side."""
    count, size = tf.shape(batch.images)[0], tf.shape(batch.images)[1:3]
    seeds = tf.random.split(seed, 2)
    side = tf.random.stateless_uniform([count, 1], seeds[0], 0.8, 1.2)
    centre = 0.5 + tf.random.stateless_uniform([count, 2], seeds[1], -0.1, 0.1)
    window = tf.concat([centre - side / 2, centre + side / 2], axis=-1)
    images = tf.image.crop_and_resize(
        batch.images, window, tf.range(count), size, extrapolation_value=128.0
    )
    corner = tf.tile(window[:, None, :2], [1, 1, 2])
    moved = (batch.boxes - corner) / side[..., None]
    boxes = tf.clip_by_value(moved, 0.0, 1.0)
    visible = tf.math.divide_no_nan(_area(boxes), _area(moved))
    keep = (visible >= MIN_VISIBLE) | ((batch.labels < 0) & (visible > 0))
    return Batch(
        images=images,
        boxes=tf.where(keep[..., None], boxes, 0.0),
        labels=tf.where(keep, batch.labels, 0),
        weights=tf.where(keep, batch.weights, 0.0),
    )


def flip(batch: Batch, seed: tf.Tensor) -> Batch:
    """Mirrors half of the images, left to right."""
    chosen = tf.random.stateless_uniform([tf.shape(batch.images)[0]], seed) < 0.5
    ymin, xmin, ymax, xmax = tf.unstack(batch.boxes, axis=-1)
    is_padding = (batch.labels == 0)[..., None]
    mirrored = tf.where(is_padding, 0.0, tf.stack([ymin, 1 - xmax, ymax, 1 - xmin], axis=-1))
    return Batch(
        images=_either(chosen, tf.reverse(batch.images, [2]), batch.images),
        boxes=_either(chosen, mirrored, batch.boxes),
        labels=batch.labels,
        weights=batch.weights,
    )


def mosaic(batch: Batch, seed: tf.Tensor, share: float) -> Batch:
    """Puts a share of the images together from four of the batch, each at half its size.

    After Bochkovskiy et al., "YOLOv4" (2020), with the seam in the middle.

    Args:
        batch: of images whose heights and widths are even.
        seed: int32 or int64[2], of which images.
        share: of the images, 0 to 1.

    Returns:
        A batch of as many images, which may have four times as many boxes.

    """
    count = tf.shape(batch.images)[0]
    height, width = batch.images.shape[1] // 2, batch.images.shape[2] // 2
    halves = tf.image.resize(batch.images, [height, width], antialias=True)
    corners = [(0.0, 0.0), (0.0, 0.5), (0.5, 0.0), (0.5, 0.5)]
    parts = [tf.roll(halves, -number, axis=0) for number in range(4)]
    images = tf.concat([tf.concat(parts[:2], axis=2), tf.concat(parts[2:], axis=2)], axis=1)

    def four(values: tf.Tensor) -> tf.Tensor:
        return tf.concat([tf.roll(values, -number, axis=0) for number in range(4)], axis=1)

    moved = tf.concat(
        [
            tf.roll(batch.boxes, -number, axis=0) / 2 + tf.constant([y, x, y, x])
            for number, (y, x) in enumerate(corners)
        ],
        axis=1,
    )
    labels, weights = four(batch.labels), four(batch.weights)
    chosen = tf.random.stateless_uniform([count], seed) < share
    more = tf.shape(labels)[1] - tf.shape(batch.labels)[1]

    def either(new: tf.Tensor, old: tf.Tensor) -> tf.Tensor:
        padding = [[0, 0], [0, more], *[[0, 0]] * (old.shape.ndims - 2)]
        return _either(chosen, new, tf.pad(old, padding))

    return Batch(
        images=_either(chosen, images, batch.images),
        boxes=either(tf.where(labels[..., None] != 0, moved, 0.0), batch.boxes),
        labels=either(labels, batch.labels),
        weights=either(weights, batch.weights),
    )


def _either(chosen: tf.Tensor, new: tf.Tensor, old: tf.Tensor) -> tf.Tensor:
    """The chosen images as in `new`, the others as in `old`; a mask of pixels is much slower."""
    return tf.compat.v1.where(chosen, new, old)


def _area(boxes: tf.Tensor) -> tf.Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
