"""One harness that every backend passes: load, freeze, weigh, fit, predict, export, reload.

A process has one Keras, so this one tests the models of its own backend; test_keras_hub.py runs the
harness again for KerasHub.
"""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from classlift.data.label_map import LabelMap
from classlift.data.schema import ExampleKeys
from classlift.detectors.backends import load_detector
from classlift.detectors.detector import Batch
from classlift.detectors.examples import example_files, read_examples
from classlift.detectors.export import Serving
from classlift.detectors.freeze import frozen_names, part_of
from classlift.errors import ModelError
from classlift.serving.check import check_export
from classlift.serving.write import write_bundle
from classlift.settings.recipe import Recipe
from classlift.training.fit import fit
from classlift.training.input import training_batches
from classlift.training.step import TrainingStep
from tests.classlift.conftest import DEMO_MODEL
from tests.classlift.detectors.models import write_d_fine, write_faster_rcnn, write_retinanet
from tests.conftest import BACKEND

pytestmark = pytest.mark.pipeline

LABELS = LabelMap.read(DEMO_MODEL / "label_map.pbtxt")


def the_demo(folder, label_map):
    return DEMO_MODEL


MODELS = {
    "od_api": {"ssd": the_demo, "faster_rcnn": write_faster_rcnn},
    "keras_hub": {"retinanet": write_retinanet, "d_fine": write_d_fine},
}
needs_od_api = pytest.mark.skipif(BACKEND != "od_api", reason="this process is for another one")


@pytest.fixture(scope="module", params=MODELS[BACKEND])
def entry(request, tmp_path_factory):
    tf.keras.utils.set_random_seed(0)
    write = MODELS[BACKEND][request.param]
    return write(tmp_path_factory.mktemp("entry"), LABELS)


@pytest.fixture(scope="module")
def model(entry):
    return load_detector(BACKEND, entry)


def values(model):
    return {name: variable.numpy() for name, variable in model.variables().items()}


def batches(model, files, recipe):
    return partial(training_batches, files, model.frame, model.label_map, recipe)


def test_what_is_loaded_is_what_was_saved(model, entry, tmp_path):
    model.save(tmp_path / "again")
    again = load_detector(BACKEND, tmp_path / "again")
    before, after = values(model), values(again)
    assert list(before) == list(after)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_names_go_with_the_image(model):
    parts = list(dict.fromkeys(map(part_of, model.variables())))
    assert parts == ["backbone", "neck", "head", "class-head"]


def test_frozen_stays_to_the_bit_and_the_rest_learns(model, train_files):
    recipe = Recipe("backbone", steps=2, batch_size=2, cached_batches=0, learning_rate=1e-4)
    frozen = frozen_names("backbone", list(model.variables()))
    before = values(model)
    fit(model, batches(model, train_files, recipe), recipe)
    after = values(model)
    assert all(np.array_equal(before[name], after[name]) for name in frozen)
    moved = {part_of(n) for n in before if not np.array_equal(before[n], after[n])}
    assert moved == {"neck", "head", "class-head"}


def test_the_weights_of_boxes_reach_the_loss(model, train_files):
    recipe = Recipe("none", batch_size=2, augmentation=False)
    batch = next(iter(batches(model, train_files, recipe)()))
    tf.keras.utils.set_random_seed(0)
    model.freeze(frozenset())
    heavy = Batch(batch.images, batch.boxes, batch.labels, batch.weights * 3)
    none = Batch(batch.images, batch.boxes, batch.labels, batch.weights * 0)
    losses = [float(model.losses(b)["box"]) for b in (none, batch, heavy)]
    assert losses[0] == 0
    assert losses[1] > 0
    assert losses[2] > 0


def test_a_step_learns_what_it_sees(model, train_files):
    """The same batch again and again: the loss falls."""
    recipe = Recipe("all-but-heads", steps=30, batch_size=2, learning_rate=1e-3)
    batch = next(iter(batches(model, train_files, recipe)()))
    frozen = frozen_names("all-but-heads", list(model.variables()))
    before = values(model)
    step = TrainingStep(model, model.freeze(frozen), recipe)
    losses = [float(step((), batch)["class"]) for _ in range(recipe.steps)]
    for name, variable in model.variables().items():
        variable.assign(before[name])
    assert np.mean(losses[-10:]) < np.mean(losses[:10])


def test_exported_it_answers_alike_in_a_clean_process(model, examples, tmp_path):
    serving = Serving(model)
    bundle = write_bundle(model, serving, tmp_path / "model")
    parsed = next(read_examples(example_files(examples, "test"), 4))
    encoded = list(parsed[ExampleKeys.ENCODED].numpy())
    answers = check_export(bundle.saved_model, encoded)
    assert answers.shapes["detection_boxes"][0] == 4
    assert answers.unwanted_modules == []
    again = load_detector(BACKEND, bundle.entry)
    images = tf.stack([tf.io.decode_image(e, 3, expand_animations=False) for e in encoded])
    fitted, _ = model.frame.fit(images)
    ours, theirs = model.detect(fitted), again.detect(fitted)
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], atol=1e-5)
    boxes, classes = ours["detection_boxes"].numpy(), ours["detection_classes"].numpy()
    assert boxes.min() >= 0
    assert boxes.max() <= 1
    assert 1 <= classes.min() <= classes.max() <= len(model.label_map)


@needs_od_api
def test_what_a_faster_rcnn_can_not_do_is_said(tmp_path):
    entry = write_faster_rcnn(tmp_path, LABELS)
    model = load_detector("od_api", entry)
    with pytest.raises(ModelError, match="leave focal_gamma and focal_alpha out"):
        model.set_focal(2.0, None)
    with pytest.raises(ModelError, match="leave distillation out"):
        model.outputs(tf.zeros([1, 64, 64, 3]))
