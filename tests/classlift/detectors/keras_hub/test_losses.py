"""The losses: KerasHub's own where all boxes weigh 1, and linear in the weights of boxes."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.classlift.detectors.keras_hub.conftest import batch_of

pytestmark = pytest.mark.pipeline

FIRST = (0.1, 0.1, 0.5, 0.6, 1, 1)
SECOND = (0.4, 0.5, 0.9, 0.95, 3, 1)
THIRD = (0.2, 0.3, 0.6, 0.7, 2, 1)


def numbers(losses):
    return {name: float(value) for name, value in losses.items()}


def stock_loss(model, images, boxes, labels, answers):
    """What `fit` of KerasHub would minimise; boxes in its own form, labels from 0."""
    return float(model.compute_loss(images, {"boxes": boxes, "labels": labels}, answers, None))


def weighted(batch, weights):
    padded = np.zeros(batch.weights.shape, np.float32)
    padded[:, : np.shape(weights)[1]] = weights
    return replace(batch, weights=tf.constant(padded))


@pytest.mark.parametrize(
    "boxes",
    [
        [[FIRST, SECOND], [THIRD]],  # as usual
        [[FIRST], []],  # an image without objects
        [[], []],  # no objects at all: no loss
    ],
)
def test_the_losses_of_a_retinanet_are_those_of_keras_hub(retinanet, boxes):
    batch, model = batch_of(boxes), retinanet.model
    model.compile()
    ours = numbers(retinanet.losses(batch))
    pixels = tf.where(batch.labels[..., None] > 0, batch.boxes * 64, -1.0)
    labels = tf.cast(batch.labels - 1, tf.float32)
    answers = retinanet._answers(batch.images, training=False)
    theirs = stock_loss(model, batch.images, pixels, labels, answers)
    assert sum(ours.values()) == pytest.approx(theirs, rel=1e-5)
    assert (theirs > 0) == any(boxes)


def test_what_anchors_should_answer_is_decoded_to_the_boxes(retinanet):
    batch = batch_of([[FIRST, SECOND], [THIRD]])
    deltas, owner = retinanet.assign(batch)
    boxes = retinanet.decode(batch.images, deltas).numpy()
    for image, anchor in np.argwhere(owner.numpy() >= 0):
        labelled = batch.boxes[image, int(owner[image, anchor])]
        np.testing.assert_allclose(boxes[image, anchor], labelled, atol=1e-5)
    assert set(np.unique(owner[0])) >= {-1, 0, 1}


def test_the_losses_of_a_d_fine_are_those_of_keras_hub(d_fine):
    """For one image with as many boxes as queries; KerasHub's are wrong for others.

    With more images, all are compared with the boxes of the first; with fewer boxes, the first
    query loses its own.
    """
    rng = np.random.default_rng(1)
    corner = rng.uniform(0.05, 0.5, (8, 2))
    sides = rng.uniform(0.1, 0.4, (8, 2))
    labels = rng.integers(1, 4, (8, 1))
    rows = np.concatenate([corner, corner + sides, labels, np.ones((8, 1))], axis=1)
    batch, model = batch_of([rows.tolist()], padding=0), d_fine.model
    ours = numbers(d_fine.losses(batch))
    centred = keras.utils.bounding_boxes.convert_format(batch.boxes, "yxyx", "center_xywh")
    answers = d_fine._answers(batch.images, training=False)
    theirs = stock_loss(model, batch.images, centred, batch.labels - 1, answers)
    assert sum(ours.values()) == pytest.approx(theirs, rel=1e-5)
    assert ours["refinement"] > 0


@pytest.mark.parametrize("name", ["retinanet", "d_fine"])
def test_losses_are_linear_in_the_weights(name, request):
    detector = request.getfixturevalue(name)
    batch = batch_of([[FIRST, SECOND], [THIRD]])

    def losses(*weights):
        return numbers(detector.losses(weighted(batch, weights)))

    none = losses((0, 0), (0, 0))
    first, second = losses((1, 0), (0, 0)), losses((0, 1), (0, 0))
    third = losses((0, 0), (1, 0))
    mixed = losses((3, 0.5), (2, 0))
    for loss in none:
        parts = [
            (factor, part[loss] - none[loss])
            for factor, part in ((3, first), (0.5, second), (2, third))
        ]
        expected = none[loss] + sum(factor * part for factor, part in parts)
        assert mixed[loss] == pytest.approx(expected, rel=1e-4, abs=1e-6), loss
    assert none["box"] == 0
    assert none["class"] > 0  # background, and queries without a box
    assert min(first["box"], second["box"], third["box"]) > 0


def test_images_of_a_d_fine_have_losses_of_their_own(d_fine):
    """The losses of a batch are those of its images, as each has its share of the boxes."""
    both = batch_of([[FIRST, SECOND], [THIRD]])
    alone = [
        replace(
            both,
            images=both.images[i : i + 1],
            boxes=both.boxes[i : i + 1],
            labels=both.labels[i : i + 1],
            weights=both.weights[i : i + 1],
        )
        for i in range(2)
    ]
    whole, *parts = (numbers(d_fine.losses(batch)) for batch in (both, *alone))
    for loss in ("class", "box"):
        assert whole[loss] == pytest.approx((2 * parts[0][loss] + parts[1][loss]) / 3, rel=1e-4)


@pytest.mark.parametrize("name", ["retinanet", "d_fine"])
def test_gradients_are_the_same_bits_again(name, request):
    tf.config.experimental.enable_op_determinism()
    detector = request.getfixturevalue(name)
    batch = batch_of([[FIRST, SECOND], []])
    trained = list(detector.freeze(frozenset()).values())
    before = [variable.numpy() for variable in detector.variables().values()]

    def gradients():
        for variable, value in zip(detector.variables().values(), before, strict=True):
            variable.assign(value)
        with tf.GradientTape() as tape:
            total = tf.add_n(list(detector.losses(batch).values()))
        return [g.numpy() for g in tape.gradient(total, trained)]

    first, again = gradients(), gradients()
    detector.freeze(frozenset(detector.variables()))
    assert all(np.isfinite(g).all() for g in first)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("name", ["retinanet", "d_fine"])
def test_the_focal_loss_takes_other_parameters(name, request):
    detector = request.getfixturevalue(name)
    batch = batch_of([[FIRST, SECOND], [THIRD]])
    own = numbers(detector.losses(batch))
    detector.set_focal(0.5, 0.5)
    other = numbers(detector.losses(batch))
    detector.set_focal(None, None)
    assert other["class"] != own["class"]
    assert other["box"] == own["box"]
    assert numbers(detector.losses(batch)) == own
