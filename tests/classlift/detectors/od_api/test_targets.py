"""The vectorised target assignment against the OD API's own loss, image by image."""

import numpy as np
import pytest
import tensorflow as tf

from classlift.detectors.detector import Batch

pytestmark = pytest.mark.pipeline


def random_batch(rng, size, images=4):
    """Padded boxes in random places; the last image has none."""
    slots = 5
    low = rng.uniform(0, 0.7, (images, slots, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.05, 0.3, low.shape)], axis=-1)
    labels = rng.integers(1, 11, (images, slots))
    for image, count in enumerate([*rng.integers(1, slots + 1, images - 1), 0]):
        boxes[image, count:], labels[image, count:] = 0, 0
    weights = np.where(labels > 0, rng.uniform(0.5, 3, labels.shape), 0)
    return Batch(
        tf.constant(rng.uniform(0, 255, (images, *size, 3)), tf.float32),
        tf.constant(boxes, tf.float32),
        tf.constant(labels, tf.int32),
        tf.constant(weights, tf.float32),
    )


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_stock_loss(detector, seed):
    batch = random_batch(np.random.default_rng(seed), detector.frame.size)
    ours = detector.losses(batch)

    model = detector.common.model
    counts = tf.reduce_sum(tf.cast(batch.labels > 0, tf.int32), axis=1).numpy()
    model.provide_groundtruth(
        groundtruth_boxes_list=[batch.boxes[i, :n] for i, n in enumerate(counts)],
        groundtruth_classes_list=[
            tf.one_hot(batch.labels[i, :n] - 1, 10) for i, n in enumerate(counts)
        ],
        groundtruth_weights_list=[batch.weights[i, :n] for i, n in enumerate(counts)],
    )
    tf.keras.backend.set_learning_phase(True)
    try:
        shapes = detector.common.shapes(len(counts))
        predictions = model.predict(model._feature_extractor.preprocess(batch.images), shapes)
        stock = model.loss(predictions, shapes)
    finally:
        tf.keras.backend.set_learning_phase(False)
    assert float(ours["class"]) == pytest.approx(float(stock["Loss/classification_loss"]), rel=1e-5)
    assert float(ours["box"]) == pytest.approx(float(stock["Loss/localization_loss"]), rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_without_padding_equals_the_plain_way(detector, seed):
    """To the bit, wherever it stands: for a branch, the boxes of other classes are padding."""
    rng = np.random.default_rng(seed)
    batch = random_batch(rng, detector.frame.size)
    assign = detector.common.assign
    for share in (0.4, 1.0):
        labels = np.where(rng.uniform(size=batch.labels.shape) < share, 0, batch.labels)
        given = batch.boxes, tf.constant(labels), batch.weights
        for name, value in vars(assign(*given)).items():
            np.testing.assert_array_equal(value, vars(assign.of_padded(*given))[name], name)


def test_an_image_without_boxes_is_all_background(detector):
    none = tf.zeros([1, 1, 4]), tf.zeros([1, 1], tf.int32), tf.zeros([1, 1])
    targets = detector.common.assign(*none)
    assert float(tf.reduce_sum(targets.classes)) == 0
    assert float(tf.reduce_sum(targets.box_weights)) == 0
    assert float(tf.reduce_min(targets.class_weights)) == 1
