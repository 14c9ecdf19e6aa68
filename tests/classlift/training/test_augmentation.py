from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.augmentation import plain_flip, plain_photometric
from classlift.detectors.detector import Batch
from classlift.training import augmentation

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


@pytest.mark.parametrize("size", [(6, 8), (7, 5), (1, 9)])
def test_row_by_row_equals_the_plain_way(size):
    """To the bit: pixel by pixel, and by a mask of pixels."""
    rng = np.random.default_rng(0)
    images = tf.constant(rng.uniform(0, 255, (16, *size, 3)).astype(np.float32))
    batch, seed = replace(squares(16), images=images), tf.constant([1, 2])
    changed = augmentation.photometric(batch, seed).images
    np.testing.assert_array_equal(changed, plain_photometric(batch, seed))
    np.testing.assert_array_equal(augmentation.flip(batch, seed).images, plain_flip(batch, seed))


@pytest.mark.parametrize("change", [augmentation.zoom, augmentation.photometric])
def test_one_seed_one_picture(change):
    first, again, other = (
        change(squares(), tf.constant(seed)) for seed in ([1, 2], [1, 2], [3, 4])
    )
    assert np.array_equal(first.images, again.images)
    assert not np.array_equal(first.images, other.images)


def seen(image, box):
    """The share of a box that is white, and of the white that is in the box."""
    ymin, xmin, ymax, xmax = np.round(box * 64).astype(int)
    white = image[..., 0] > 128
    inside = white[ymin:ymax, xmin:xmax].sum()
    return inside / max((ymax - ymin) * (xmax - xmin), 1), inside / max(white.sum(), 1)


def test_flip_mirrors_boxes_with_the_picture():
    before = squares()
    out = augmentation.flip(before, tf.constant([1, 2]))
    moved = (out.boxes.numpy()[:, 0] != before.boxes.numpy()[:, 0]).any(axis=1)
    assert 16 < moved.sum() < 48
    for image, boxes in zip(out.images.numpy(), out.boxes.numpy(), strict=True):
        assert seen(image, boxes[0]) == (1, 1)
        assert (boxes[1] == 0).all()  # padding


def test_mosaic_moves_boxes_with_their_quarters():
    before = squares()
    out = augmentation.mosaic(before, tf.constant([1, 2]), 0.5)
    images, boxes, labels = out.images.numpy(), out.boxes.numpy(), out.labels.numpy()
    assert images.shape == before.images.shape
    four = (labels > 0).sum(axis=1) == 4
    assert 16 < four.sum() < 48
    assert ((labels > 0).sum(axis=1)[~four] == 1).all()
    assert np.array_equal(images[~four], before.images.numpy()[~four])
    for image, found, valid in zip(images[four], boxes[four], labels[four] > 0, strict=True):
        inside = [seen(image, box) for box in found[valid]]
        assert min(filled for filled, _ in inside) > 0.8
        assert sum(share for _, share in inside) > 0.8
    assert np.array_equal(out.weights.numpy() > 0, labels > 0)
    assert (boxes[labels == 0] == 0).all()


def test_a_region_goes_with_its_picture():
    """Where a class may stand without a box, wherever the picture is put."""
    batch = squares(4)
    whole = tf.constant([[[0.0, 0.0, 1.0, 1.0], [0.0] * 4]] * 4)
    batch = Batch(batch.images, whole, tf.constant([[-3, 0]] * 4), tf.zeros([4, 2]))
    out = augmentation.flip(augmentation.zoom(batch, tf.constant([1, 2])), tf.constant([3, 4]))
    assert (out.labels.numpy()[:, 0] == -3).all()
    assert (out.weights.numpy() == 0).all()
    areas = augmentation._area(out.boxes).numpy()[:, 0]
    assert ((areas > 0.5) & (areas <= 1)).all()
    out = augmentation.mosaic(batch, tf.constant([1, 2]), share=1.0)
    quarters = out.boxes.numpy()[out.labels.numpy() == -3]
    assert len(quarters) == 16
    assert np.allclose(augmentation._area(quarters), 0.25)
