"""Targets of a CenterNet, vectorised over the batch: where the centres of objects are.

Zhou et al., "Objects as Points" (2019), arXiv 1904.07850, as the OD API has them, which assigns
image by image; the result is the same (tests/classlift/detectors/od_api/test_centers.py). Weights
differ: there a box of weight 2 is no object, for its peak is not 1.
"""

from dataclasses import dataclass

import tensorflow as tf

from classlift.detectors.od_api.api import max_distance_for_overlap


@dataclass(frozen=True)
class Centers:
    """What heat maps of `classes` columns should be, and where the boxes of a batch have centres.

    Attributes:
        heat: float32[batch, rows, columns, classes]: 1 at the centre of an object of the class, and
            less around it, as a Gaussian falls.
        weights: float32[batch, rows, columns, classes], those of the boxes at their centres, and 1
            elsewhere.
        places: int32[batch, boxes, 2], row and column of each box's centre.
        offsets: float32[batch, boxes, 2], from there to the centre, in cells.
        sizes: float32[batch, boxes, 2], height and width, in cells.
        box_weights: float32[batch, boxes]; 0 for boxes of no class.

    """

    heat: tf.Tensor
    weights: tf.Tensor
    places: tf.Tensor
    offsets: tf.Tensor
    sizes: tf.Tensor
    box_weights: tf.Tensor

    def at(self, values: tf.Tensor) -> tf.Tensor:
        """Values [batch, rows, columns, n] at the centres of the boxes: [batch, boxes, n]."""
        return tf.gather_nd(values, self.places, batch_dims=1)


def find_centers(
    boxes: tf.Tensor,
    labels: tf.Tensor,
    weights: tf.Tensor,
    cells: tuple[int, int],
    classes: int,
    min_overlap: float,
) -> Centers:
    """Finds what heat maps should be.

    Args:
        boxes: [batch, boxes, 4], ymin, xmin, ymax, xmax in 0..1.
        labels: [batch, boxes], from 1 to `classes`; 0 for those that are of none of them.
        weights: [batch, boxes].
        cells: rows and columns of the maps.
        classes: how many columns they have.
        min_overlap: IoU that a box moved by what the Gaussian reaches keeps with itself.

    Returns:
        The targets.

    """
    rows, columns = cells
    ymin, xmin, ymax, xmax = tf.unstack(boxes * tf.constant([rows, columns] * 2, tf.float32), 4, -1)
    centre = tf.stack([ymin + ymax, xmin + xmax], axis=-1) / 2
    sizes = tf.stack([ymax - ymin, xmax - xmin], axis=-1)
    cell = tf.floor(centre)
    places = tf.clip_by_value(tf.cast(cell, tf.int32), 0, [rows - 1, columns - 1])

    sigma = _sigma(sizes, min_overlap)
    down = tf.range(rows, dtype=tf.float32) - cell[..., :1]
    across = tf.range(columns, dtype=tf.float32) - cell[..., 1:]
    squared = down[..., :, None] ** 2 + across[..., None, :] ** 2
    bell = tf.exp(-squared / (2 * sigma[..., None, None] ** 2))
    # The highest bell of each class in each image; column 0 takes those of no class.
    images = tf.shape(labels)[0]
    owner = tf.range(images)[:, None] * (classes + 1) + labels
    heat = tf.math.unsorted_segment_max(
        tf.reshape(bell, [-1, rows, columns]), tf.reshape(owner, [-1]), images * (classes + 1)
    )
    heat = tf.reshape(tf.maximum(heat, 0.0), [-1, classes + 1, rows, columns])

    numbers = tf.broadcast_to(tf.range(images)[:, None], tf.shape(labels))
    index = tf.concat([numbers[..., None], places, labels[..., None]], axis=-1)
    ones = tf.ones([images, rows, columns, classes + 1])
    by_cell = tf.tensor_scatter_nd_update(ones, index, weights)
    return Centers(
        heat=tf.transpose(heat[:, 1:], [0, 2, 3, 1]),
        weights=by_cell[..., 1:],
        places=places,
        offsets=centre - cell,
        sizes=sizes,
        box_weights=tf.where(labels > 0, weights, 0.0),
    )


def _sigma(sizes: tf.Tensor, min_overlap: float) -> tf.Tensor:
    """The standard deviation of the Gaussian of boxes, in cells.

    Args:
        sizes: [..., 2], height and width, in cells.
        min_overlap: as `find_centers` takes it.

    Returns:
        [...]: a sixth of the diameter, in whole cells.

    """
    radius = max_distance_for_overlap(sizes[..., 0], sizes[..., 1], min_overlap)
    return (2 * tf.maximum(tf.floor(radius), 0.0) + 1) / 6
