import numpy as np
import pytest
import tensorflow as tf

from components.detectors import augmentation
from components.detectors.detector import Batch

pytestmark = pytest.mark.pipeline


def squares(count=64):
    """White squares on black, each with its box."""
    images = np.zeros((count, 64, 64, 3), np.float32)
    boxes = np.zeros((count, 2, 4), np.float32)
    rng = np.random.default_rng(0)
    for i in range(count):
        y, x = rng.integers(0, 40, 2)
        images[i, y : y + 24, x : x + 24] = 255
        boxes[i, 0] = np.array([y, x, y + 24, x + 24]) / 64
    labels = np.tile([[1, 0]], (count, 1)).astype(np.int32)
    weights = (labels > 0).astype(np.float32)
    return Batch(*(tf.constant(t) for t in (images, boxes, labels, weights)))


def test_zoom_moves_boxes_with_the_picture():
    out = augmentation.zoom(squares(), tf.constant([1, 2]))
    kept = 0
    for image, boxes, labels in zip(out.images.numpy(), out.boxes.numpy(), out.labels, strict=True):
        if labels[0] == 0:
            continue
        kept += 1
        ys, xs = np.nonzero(image[..., 0] > 200)
        seen = np.array([ys.min(), xs.min(), ys.max() + 1, xs.max() + 1]) / 64
        assert np.abs(seen - boxes[0]).max() < 2.5 / 64
    assert kept > 40


def test_zoom_drops_what_it_pushes_out():
    out = augmentation.zoom(squares(), tf.constant([1, 2]))
    gone = out.labels.numpy()[:, 0] == 0
    assert (out.weights.numpy()[gone] == 0).all()
    assert (out.boxes.numpy()[gone] == 0).all()


def test_photometric_keeps_boxes_and_range():
    batch = squares()
    out = augmentation.photometric(batch, tf.constant([1, 2]))
    assert np.array_equal(out.boxes, batch.boxes)
    assert 0 <= float(tf.reduce_min(out.images)) <= float(tf.reduce_max(out.images)) <= 255


@pytest.mark.parametrize("change", [augmentation.zoom, augmentation.photometric])
def test_one_seed_one_picture(change):
    first, again, other = (
        change(squares(), tf.constant(seed)) for seed in ([1, 2], [1, 2], [3, 4])
    )
    assert np.array_equal(first.images, again.images)
    assert not np.array_equal(first.images, other.images)
