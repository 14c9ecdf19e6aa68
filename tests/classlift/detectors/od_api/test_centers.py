"""Targets and losses of a CenterNet are the OD API's own, where all weights are 1."""

import numpy as np
import pytest
import tensorflow as tf
from object_detection.core.target_assigner import (
    CenterNetBoxTargetAssigner,
    CenterNetCenterHeatmapTargetAssigner,
)

from classlift.data.label_map import LabelMap
from classlift.detectors.detector import Batch
from classlift.detectors.freeze import part_of
from classlift.detectors.od_api.api import mobilenet_v2
from classlift.detectors.od_api.branching import Branched
from classlift.detectors.od_api.center_net import CenterNetDetector
from classlift.detectors.od_api.centers import find_centers
from classlift.detectors.od_api.zoo_entry import learning_phase
from classlift.errors import ModelError
from tests.classlift.detectors.models import center_net_config

pytestmark = pytest.mark.pipeline

CLASSES, CELLS = 3, (16, 24)
LABELS = [[1, 2, 2, 0], [3, 1, 0, 0]]  # 0 is padding


def boxes_of(rng):
    corners = rng.uniform(0, 0.6, (2, 4, 2))
    sides = rng.uniform(0.02, 0.4, (2, 4, 2))
    return np.concatenate([corners, corners + sides], -1).astype(np.float32)


def test_targets_are_those_of_the_od_api():
    boxes = boxes_of(np.random.default_rng(0))
    found = find_centers(
        tf.constant(boxes), tf.constant(LABELS), tf.ones([2, 4]), CELLS, CLASSES, 0.7
    )
    real = [np.array(labels) > 0 for labels in LABELS]
    lists = [tf.constant(b[r]) for b, r in zip(boxes, real, strict=True)]
    classes = [tf.one_hot(np.array(x)[r] - 1, CLASSES) for x, r in zip(LABELS, real, strict=True)]
    size = [side * 4 for side in CELLS]
    theirs = CenterNetCenterHeatmapTargetAssigner(4, 0.7).assign_center_targets_from_boxes(
        *size, lists, classes
    )
    np.testing.assert_allclose(found.heat, theirs, atol=1e-6)
    assert (found.heat.numpy() == 1).sum() == 5
    places, sizes, offsets, _ = CenterNetBoxTargetAssigner(4).assign_size_and_offset_targets(
        *size, lists
    )
    kept = np.array(LABELS) > 0
    np.testing.assert_array_equal(found.places.numpy()[kept], places[:, 1:])
    np.testing.assert_allclose(found.sizes.numpy()[kept], sizes, atol=1e-5)
    np.testing.assert_allclose(found.offsets.numpy()[kept], offsets, atol=1e-5)
    np.testing.assert_array_equal(found.box_weights, np.float32(kept))


def test_a_weight_is_of_the_centre_alone():
    boxes = tf.constant([[[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]]])
    labels, weights = tf.constant([[2, 0]]), tf.constant([[3.0, 0.0]])
    found = find_centers(boxes, labels, weights, (8, 8), 2, 0.7)
    assert found.heat[0, 2, 2].numpy().tolist() == [0.0, 1.0]
    assert found.weights[0, 2, 2].numpy().tolist() == [1.0, 3.0]
    assert float(tf.reduce_sum(found.weights)) == 8 * 8 * 2 + 2
    assert float(found.heat[0, 6, 6, 1]) < 1  # nothing is at the box of no class


@pytest.fixture(scope="module", params=["hourglass_10", "resnet_v1_18_fpn"])
def detector(request):
    """One that is all backbone, and one with a neck."""
    tf.keras.utils.set_random_seed(0)
    label_map = LabelMap(("a", "b", "c"))
    return CenterNetDetector(center_net_config(label_map, request.param), label_map)


def test_losses_are_those_of_the_od_api(detector):
    rng = np.random.default_rng(1)
    images = tf.constant(rng.uniform(0, 255, (2, 64, 64, 3)).astype(np.float32))
    batch = Batch(images, tf.constant(boxes_of(rng)), tf.constant(LABELS), tf.ones([2, 4]))
    detector.freeze(frozenset(detector.variables()))  # so that statistics are those of inference
    ours = detector.losses(batch)
    model, count = detector.model, [3, 2]
    model.provide_groundtruth(
        groundtruth_boxes_list=[batch.boxes[i, :n] for i, n in enumerate(count)],
        groundtruth_classes_list=[
            tf.one_hot(batch.labels[i, :n] - 1, CLASSES) for i, n in enumerate(count)
        ],
        groundtruth_weights_list=[tf.ones([n]) for n in count],
    )
    with learning_phase(False):
        answers = model.predict(detector.parts.extractor.preprocess(images), detector.shapes(2))
    theirs = model.loss(answers, detector.shapes(2))
    assert float(ours["class"]) == pytest.approx(float(theirs["Loss/object_center"]), rel=1e-5)
    box = theirs["Loss/box/scale"] + theirs["Loss/box/offset"]
    assert float(ours["box"]) == pytest.approx(float(box), rel=1e-5)


def test_every_variable_has_a_name_which_is_the_same_in_a_second_model(detector):
    names = list(detector.variables())
    known = {variable.ref() for variable in detector.variables().values()}
    assert known == {variable.ref() for variable in detector.model.trainable_variables} | {
        variable.ref() for variable in detector.parts.extractor.variables
    }
    again = CenterNetDetector(detector.config, detector.label_map)
    assert list(again.variables()) == names
    shapes = [[v.shape for v in found.variables().values()] for found in (detector, again)]
    assert shapes[0] == shapes[1]
    has_neck = any(part_of(name) == "neck" for name in names)
    assert has_neck == ("fpn" in detector.config.model.center_net.feature_extractor.type)


def test_no_weights_are_fetched_that_a_checkpoint_brings(monkeypatch):
    """The API takes ImageNet's for a MobileNet, from where they are kept."""
    asked = []

    def build(**options):
        asked.append(options["weights"])
        raise ValueError("stop")

    monkeypatch.setattr(mobilenet_v2, "mobilenet_v2", build)
    label_map = LabelMap(("a", "b", "c"))
    with pytest.raises(ModelError, match="stop"):
        CenterNetDetector(center_net_config(label_map, "mobilenet_v2"), label_map)
    assert asked == [None]


def test_a_class_that_the_model_does_not_have(detector):
    branched = Branched(detector)
    before = branched.detect(tf.zeros([1, 64, 64, 3]))
    branched.add_class("d", 4)
    branched.grow_branches(["d"], frozenset({"head", "class-head"}))
    after = branched.detect(tf.zeros([1, 64, 64, 3]))
    classes = after["detection_classes"].numpy()[0]
    scores = after["detection_scores"].numpy()[0]
    np.testing.assert_allclose(scores[classes == 4], 0.01, rtol=1e-4)
    for name in ("detection_boxes", "detection_scores", "detection_classes"):
        assert np.array_equal(after[name].numpy()[0][classes != 4], before[name].numpy()[0])
