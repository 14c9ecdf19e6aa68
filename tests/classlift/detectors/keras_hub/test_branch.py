"""A head of its own for a class: it learns, and nothing else changes by a bit."""

import numpy as np
import pytest
import tensorflow as tf

from classlift.detectors.backends import load_detector
from classlift.detectors.branch_note import BRANCHES
from classlift.detectors.freeze import frozen_names
from classlift.detectors.keras_hub.branching import WEIGHTS
from classlift.detectors.keras_hub.d_fine import DFineDetector
from classlift.errors import ModelError
from classlift.settings.freeze import BRANCH_PARTS, TARGET_BRANCH
from classlift.settings.recipe import Recipe
from classlift.training.step import TrainingStep
from tests.classlift.detectors.keras_hub.conftest import batch_of
from tests.classlift.detectors.rows import rows_of
from tests.classlift.detectors.twins import require_apart
from tests.classlift.detectors.verifiers import require_only_the_class_changes, with_random_line

pytestmark = pytest.mark.pipeline

TARGET, NEW = "scooter", "tram"
BATCH = [[(0.1, 0.1, 0.5, 0.6, 1, 1), (0.4, 0.5, 0.9, 0.95, 3, 1)], [(0.2, 0.3, 0.6, 0.7, 2, 1)]]


def test_a_verifier_changes_its_class_alone(folders, tmp_path):
    detector = load_detector("keras_hub", folders["retinanet"])
    images, number = batch_of(BATCH).images, detector.label_map.id_of(TARGET)
    detector.grow_branches([TARGET], BRANCH_PARTS[TARGET_BRANCH])
    before, after, due = with_random_line(detector, TARGET, images)
    require_only_the_class_changes(before, after, due, number)
    detector.save(tmp_path / "model")
    again = load_detector("keras_hub", tmp_path / "model")
    assert rows_of(again.detect(images)) == rows_of(after)


def answer_with_all(detector):
    """Lets a D-FINE answer with all of its queries and classes, not only the best of them."""
    if isinstance(detector.common, DFineDetector):
        detector.common.model.prediction_decoder.max_detections = 24


@pytest.fixture(scope="module", params=["retinanet", "d_fine"])
def story(request, folders):
    """A detector with branches, of a known class and a new one, that were trained for some steps,
    and what it answered: before there were any, before they were trained, and afterwards.
    """
    detector = load_detector("keras_hub", folders[request.param])
    answer_with_all(detector)
    detector.add_class(NEW, 4)
    batch = batch_of(BATCH)
    answers = [rows_of(detector.detect(batch.images))]
    detector.grow_branches([TARGET, NEW], BRANCH_PARTS[TARGET_BRANCH])
    answers.append(rows_of(detector.detect(batch.images)))
    frozen = frozen_names(TARGET_BRANCH, list(detector.variables()), detector.trained_branches)
    trained = detector.freeze(frozen)
    before = {name: v.numpy() for name, v in detector.variables().items()}
    step = TrainingStep(detector, trained, Recipe(TARGET_BRANCH, batch_size=2, steps=9))
    losses = [float(step(detector.features(batch.images), batch)["class"]) for _ in range(3)]
    after = {name: v.numpy() for name, v in detector.variables().items()}
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    answers.append(rows_of(detector.detect(batch.images)))
    return detector, answers, losses, moved, set(trained)


def test_all_other_classes_are_the_same_to_the_bit(story):
    _, answers, *_ = story
    others = [[row for row in rows if row[1] not in (3, 4)] for rows in answers]
    assert others[0]
    assert others[0] == others[1] == others[2]


@pytest.mark.parametrize("model", ["retinanet", "d_fine"])
def test_a_twin_has_branches_of_its_own(model, folders):
    detector = load_detector("keras_hub", folders[model])
    answer_with_all(detector)
    detector.grow_branches([TARGET], BRANCH_PARTS[TARGET_BRANCH])
    require_apart(detector, TARGET)


def test_an_untrained_branch_says_what_the_common_head_says(story):
    _, answers, *_ = story
    common, own = ([row[2] for row in rows if row[1] == 3] for rows in answers[:2])
    np.testing.assert_allclose(sorted(common)[-5:], sorted(own)[-5:], atol=1e-5)
    np.testing.assert_allclose([row[2] for row in answers[1] if row[1] == 4], 0.01, rtol=1e-4)


def test_the_branch_learns_and_nothing_else(story):
    detector, answers, losses, moved, trained = story
    assert detector.prefix == "neck"
    assert moved == trained
    assert all(name.startswith(("branch/scooter/", "branch/tram/")) for name in trained)
    assert np.isfinite(losses).all()
    assert answers[1] != answers[2]


def test_a_branch_travels_with_the_model(story, folders, tmp_path):
    detector, *_ = story
    images = batch_of(BATCH, seed=3).images
    detector.save(tmp_path / "model")
    again = load_detector("keras_hub", tmp_path / "model")
    assert again.branches() == (TARGET, NEW)
    assert again.label_map.id_of(NEW) == 4
    answer_with_all(again)
    wanted = rows_of(detector.detect(images))
    assert rows_of(again.detect(images)) == wanted
    spec = tf.TensorSpec([None, *images.shape[1:]], tf.float32)  # as it is exported
    exported = tf.function(again.detect, input_signature=[spec], autograph=False)
    found = [row[:3] for row in rows_of(exported(images))]
    np.testing.assert_allclose(found, [row[:3] for row in wanted], atol=1e-4)
    (tmp_path / "model" / WEIGHTS).unlink()
    with pytest.raises(ModelError, match=rf"{WEIGHTS}: it does not have .* {BRANCHES} names"):
        load_detector("keras_hub", tmp_path / "model")


def test_what_is_seen_where_nobody_labelled_is_no_mistake(story):
    """In a region the branch is not told that there is nothing, once it sees something."""
    detector, *_ = story
    branch = detector._branches[TARGET]
    (bias,) = (v for n, v in branch.variables().items() if n.startswith("class") and "bias" in n)
    before = bias.numpy()
    bias.assign(before + 8.0)
    none, region = batch_of([[]], padding=1), batch_of([[(0, 0, 1, 1, -3, 0)]])
    losses = [float(branch.losses(batch)["class"]) for batch in (none, region)]
    bias.assign(before)
    assert losses[1] < 0.01 * losses[0]
