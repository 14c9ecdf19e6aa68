"""A second look at what a branch has found; nothing else changes by a bit."""

import json

import numpy as np
import pytest
import tensorflow as tf

from classlift.data.label_map import LabelMap
from classlift.detectors.backends import load_detector
from classlift.detectors.branch_note import BRANCHES
from classlift.detectors.export import Serving
from classlift.errors import ModelError
from classlift.settings.freeze import BRANCH_PARTS, TARGET_BRANCH
from classlift.settings.recipe import Recipe
from classlift.training.run import let_learn
from tests.classlift.conftest import DEMO_MODEL
from tests.classlift.detectors.models import (
    write_center_net,
    write_efficientdet,
    write_faster_rcnn,
)
from tests.classlift.detectors.verifiers import (
    require_only_the_class_changes,
    table_of,
    with_random_line,
)

pytestmark = pytest.mark.pipeline
LABELS = LabelMap(("car", "bus", "tram"), (1, 2, 4))
WRITERS = {"efficientdet": write_efficientdet, "center_net": write_center_net}


def images_for(detector, seed=0):
    shape = (2, *detector.frame.size, 3)
    noise = np.random.default_rng(seed).uniform(0, 255, shape)
    return tf.constant(noise.astype(np.float32))


@pytest.mark.parametrize("architecture", [*WRITERS, "ssd"])
def test_only_its_class_changes(architecture, tmp_path):
    """And it travels with the model."""
    tf.keras.utils.set_random_seed(0)
    entry, target = DEMO_MODEL, "8"
    if architecture in WRITERS:
        entry, target = WRITERS[architecture](tmp_path / "entry", LABELS), "tram"
    detector = load_detector("od_api", entry)
    images, number = images_for(detector), detector.label_map.id_of(target)
    detector.grow_branches([target], BRANCH_PARTS[TARGET_BRANCH])
    before, after, due = with_random_line(detector, target, images)
    require_only_the_class_changes(before, after, due, number)
    detector.save(tmp_path / "saved")
    again = load_detector("od_api", tmp_path / "saved")
    assert np.array_equal(table_of(again.detect(images)), table_of(after))


@pytest.fixture
def judged():
    """The demo's detector, with branches and verifiers of 3 and 8; and images."""
    detector = load_detector("od_api", DEMO_MODEL)
    images = images_for(detector)
    for label in ("3", "8"):
        detector.grow_branches([label], BRANCH_PARTS[TARGET_BRANCH])
        with_random_line(detector, label, images)
    return detector, images


def test_what_is_known_of_a_detection(judged):
    """By hand, for the surest detection of an image."""
    detector, images = judged
    found, evidence = detector.evidence(images)["8"]
    detector.drop_branches()
    common = [row for row in table_of(detector.detect(images)) if row[0] == 0]
    box, score = found.boxes[0, 0].numpy(), float(found.scores[0, 0])

    def overlap(other):
        low, high = np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])
        shared = np.prod(np.maximum(high - low, 0))
        areas = [np.prod(b[2:] - b[:2]) for b in (box, other)]
        return shared / (sum(areas) - shared)

    def logit(scores):
        clipped = np.clip(max(scores, default=0), 1e-4, 1 - 1e-4)
        return np.log(clipped / (1 - clipped))

    near = [row for row in common if overlap(row[3:]) > 0.5]
    number = detector.label_map.id_of("8")
    height, width = box[2:] - box[:2]
    facts = [
        logit([score]),
        logit([row[2] for row in near if row[1] == number]),
        logit([row[2] for row in near if row[1] != number]),
        max(overlap(row[3:]) for row in common),
        np.log(height * width),
        np.log(width / height),
    ]
    np.testing.assert_allclose(evidence[0, 0, :6], facts, rtol=1e-3, atol=1e-4)
    features = detector.describe(images, found.boxes)
    np.testing.assert_allclose(evidence[..., 6:], features, atol=1e-5)


def test_evidence_is_what_was_found_before_any_verifier(judged):
    detector, images = judged
    found, evidence = detector.evidence(images)["8"]
    detector.verify({})
    again, known = detector.evidence(images)["8"]
    assert np.array_equal(found.scores, again.scores)
    assert np.array_equal(evidence, known)


def test_a_class_that_is_trained_again_loses_its_verifier(judged, tmp_path):
    """It judged what is about to change; that of another class stays."""
    detector, images = judged
    detector.save(tmp_path / "entry")
    recipe = Recipe(freeze_policy=TARGET_BRANCH)
    again = load_detector("od_api", tmp_path / "entry")
    let_learn(again, ["8"], recipe)
    names = [name for name in again.variables() if name.endswith("verifier")]
    assert names == ["branch/3/head/verifier"]
    three = detector.label_map.id_of("3")
    rows = [table_of(model.detect(images)) for model in (detector, again)]
    assert np.array_equal(*(own[own[:, 1] == three] for own in rows))


def test_a_shipment_takes_the_verifiers_of_its_targets_along(judged):
    learned, images = judged
    one = load_detector("od_api", DEMO_MODEL)
    before = table_of(one.detect(images))
    one.take_branch("8", learned)
    eight = one.label_map.id_of("8")
    after, shipped = table_of(learned.detect(images)), table_of(one.detect(images))
    assert np.array_equal(shipped[shipped[:, 1] == eight], after[after[:, 1] == eight])
    assert np.array_equal(shipped[shipped[:, 1] != eight], before[before[:, 1] != eight])


def test_it_goes_with_its_branch(judged, tmp_path):
    detector, _ = judged
    detector.drop_branches(["8"])
    detector.save(tmp_path)
    assert set(json.loads((tmp_path / BRANCHES).read_text())["verified"]) == {"3"}
    detector.drop_branches()
    detector.save(tmp_path)
    assert not (tmp_path / BRANCHES).exists()


@pytest.mark.parametrize("verified", [{"5": 3}, {"8": 0}, {"8": "many"}, ["8"], {"8": 7}])
def test_a_damaged_note_is_a_sentence(judged, tmp_path, verified):
    detector, _ = judged
    detector.save(tmp_path)
    note = json.loads((tmp_path / BRANCHES).read_text())
    (tmp_path / BRANCHES).write_text(json.dumps(note | {"verified": verified}))
    with pytest.raises(ModelError, match="from the same"):
        load_detector("od_api", tmp_path)


def test_the_export_has_it(judged):
    detector, images = judged
    encoded = tf.stack([tf.io.encode_png(tf.cast(image, tf.uint8)) for image in images])
    shown = tf.cast(tf.cast(images, tf.uint8), tf.float32)
    found = [table_of(Serving(detector).encoded(encoded)), table_of(detector.detect(shown))]
    np.testing.assert_allclose(np.sort(found[0][:, 2]), np.sort(found[1][:, 2]), atol=1e-4)
    detector.verify({})
    assert not np.array_equal(table_of(Serving(detector).encoded(encoded)), found[0])


def test_where_nothing_describes_images_there_is_none(tmp_path):
    detector = load_detector("od_api", write_faster_rcnn(tmp_path, LABELS))
    assert not detector.can_verify
