"""What every architecture of the model zoo passes with a branch, on small models of random weights.

All 36 configs of the zoo are tried by `tests.zoo`.
"""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format

from classlift.data.label_map import LabelMap
from classlift.detectors.backends import load_detector
from classlift.detectors.cost import work
from classlift.detectors.detector import Batch
from classlift.detectors.freeze import frozen_names, part_of
from classlift.detectors.od_api.api import pipeline_pb2
from classlift.detectors.od_api.faster_rcnn import FasterRcnnDetector
from classlift.errors import ModelError
from classlift.settings.freeze import BRANCH_PARTS, TARGET_BRANCH, TARGET_BRANCH_NECK
from classlift.settings.recipe import Recipe
from classlift.training.step import TrainingStep
from tests.classlift.detectors.models import (
    FASTER_RCNN,
    write_center_net,
    write_efficientdet,
    write_faster_rcnn,
)
from tests.classlift.detectors.rows import rows_of

pytestmark = pytest.mark.pipeline

LABELS = LabelMap(("car", "bus", "tram"), (1, 2, 4))  # of four columns, one has no name
TARGET, OTHER = "tram", "car"
ARCHITECTURES = {
    "efficientdet": write_efficientdet,
    "faster_rcnn": write_faster_rcnn,
    "center_net": write_center_net,
}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def entry(request, tmp_path_factory):
    tf.keras.utils.set_random_seed(0)
    return ARCHITECTURES[request.param](tmp_path_factory.mktemp("entry"), LABELS)


@pytest.fixture(scope="module")
def story(entry):
    """A detector with a branch that was trained for two steps, and what it answered: before there
    was one, before it was trained, and afterwards.
    """
    detector = load_detector("od_api", entry)
    rng = np.random.default_rng(0)
    size = detector.frame.size
    images = tf.constant(rng.uniform(0, 255, (2, *size, 3)).astype(np.float32))
    answers = [rows_of(detector.detect(images))]
    detector.grow_branches([TARGET], BRANCH_PARTS[TARGET_BRANCH], auxiliary=True)
    answers.append(rows_of(detector.detect(images)))
    numbers = [detector.label_map.id_of(label) for label in (TARGET, OTHER)]
    boxes = tf.constant([[[0.1, 0.1, 0.5, 0.5], [0.3, 0.3, 0.9, 0.9]]] * 2)
    batch = Batch(images, boxes, tf.constant([numbers] * 2), tf.ones([2, 2]))
    frozen = frozen_names(TARGET_BRANCH, list(detector.variables()), detector.trained_branches)
    trained = detector.freeze(frozen)
    before = {name: v.numpy() for name, v in detector.variables().items()}
    step = TrainingStep(
        detector, trained, Recipe(TARGET_BRANCH, batch_size=2, steps=9, auxiliary=0.5)
    )
    features = detector.features(images) if detector.prefix is not None else ()
    losses = [{k: float(v) for k, v in step(features, batch).items()} for _ in range(2)]
    after = {name: v.numpy() for name, v in detector.variables().items()}
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    answers.append(rows_of(detector.detect(images)))
    return detector, answers, losses, moved, set(trained)


def of_target(rows, number):
    return [row for row in rows if row[1] == number]


def test_parts_go_with_the_image(story):
    detector, *_ = story
    names = [name for name in detector.variables() if part_of(name) != "branch"]
    parts = list(dict.fromkeys(map(part_of, names)))
    assert parts[0] == "backbone"
    without = {"neck"} if detector.common.meta_architecture == "center_net" else set()
    assert set(parts) == {"backbone", "neck", "head", "class-head"} - without


def test_all_other_classes_are_the_same_to_the_bit(story):
    detector, answers, *_ = story
    number = detector.label_map.id_of(TARGET)
    others = [[row for row in rows if row[1] != number] for rows in answers]
    assert others[0]
    assert others[0] == others[1] == others[2]
    assert {row[1] for rows in answers for row in rows} <= set(LABELS.ids)


def test_an_untrained_branch_says_what_the_common_head_says(story):
    detector, answers, *_ = story
    number = detector.label_map.id_of(TARGET)
    common, own = ([row[2] for row in of_target(rows, number)] for rows in answers[:2])
    shared = min(len(common), len(own), 5)
    assert shared
    np.testing.assert_allclose(sorted(common)[-shared:], sorted(own)[-shared:], atol=1e-5)


def test_the_branch_learns_and_nothing_else(story):
    _, answers, losses, moved, trained = story
    assert moved <= trained
    # Of what scales maps that random weights make next to nothing of, the gradient may be nothing.
    assert {name for name in trained if name.endswith(("kernel", "bias"))} <= moved
    assert all(np.isfinite(value) for found in losses for value in found.values())
    assert answers[1] != answers[2]


def test_saved_and_loaded_it_answers_alike(story, tmp_path):
    detector, *_ = story
    images = tf.random.stateless_uniform([1, *detector.frame.size, 3], [1, 2], 0, 255)
    detector.save(tmp_path / "entry")
    again = load_detector("od_api", tmp_path / "entry")
    assert again.branches() == (TARGET,)
    for name, value in detector.detect(images).items():
        assert np.array_equal(again.detect(images)[name], value)


def test_the_work_of_each_block_is_counted_by_its_layers(story):
    """Whose names are of one scope or of several."""
    detector, *_ = story
    found = [sorted(layers) for layers in detector.branch_blocks.values()]
    scopes = work(detector).scopes if found else {}
    counts = [sum(scopes[layer] for layer in layers) for layers in found]
    assert all(deeper > less for deeper, less in itertools.pairwise([*counts, 0]))
    assert bool(counts) == (detector.common.meta_architecture == "ssd")


def test_a_second_stage_has_no_neck(tmp_path):
    detector = load_detector("od_api", write_faster_rcnn(tmp_path, LABELS))
    with pytest.raises(ModelError, match="and no neck; choose the freeze policy target-branch"):
        detector.grow_branches([TARGET], BRANCH_PARTS[TARGET_BRANCH_NECK])


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ("second_stage_box_predictor { rfcn_box_predictor { } }", "rfcn_box_predictor is set"),
        ("context_config { num_attention_heads: 1 }", "a Context R-CNN .context_config. reads"),
    ],
)
def test_relatives_of_a_faster_rcnn_are_refused(part, sentence):
    config = text_format.Parse(FASTER_RCNN % 4, pipeline_pb2.TrainEvalPipelineConfig())
    text_format.Merge(part, config.model.faster_rcnn)
    with pytest.raises(ModelError, match=sentence):
        FasterRcnnDetector(config, LABELS)


def test_frozen_statistics_stay(entry):
    detector = load_detector("od_api", entry)
    detector.freeze(frozenset(detector.variables()))
    before = {name: v.numpy() for name, v in detector.variables().items()}
    images = tf.constant(
        np.random.default_rng(1).uniform(0, 255, (2, *detector.frame.size, 3)).astype(np.float32)
    )
    boxes = tf.constant([[[0.1, 0.1, 0.5, 0.5]]] * 2)
    detector.losses(Batch(images, boxes, tf.ones([2, 1], tf.int32), tf.ones([2, 1])))
    after = {name: v.numpy() for name, v in detector.variables().items()}
    assert [name for name in before if not np.array_equal(before[name], after[name])] == []
