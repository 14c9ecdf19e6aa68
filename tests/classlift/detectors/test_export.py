"""The export answers as the detector does, for any batch, in a process with TensorFlow alone."""

import json

import numpy as np
import pytest
import tensorflow as tf

from classlift.data.schema import ExampleKeys
from classlift.detectors.examples import example_files, labelled_boxes, read_examples
from classlift.detectors.predict import load_signature, predict
from classlift.errors import ModelError
from classlift.serving.bundle import Bundle
from classlift.serving.check import check_export
from classlift.serving.write import import_entry
from tests.classlift.conftest import DEMO_MODEL

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def bundle(detector, tmp_path_factory) -> Bundle:
    return import_entry(detector, DEMO_MODEL, tmp_path_factory.mktemp("model") / "saved_model")


@pytest.fixture(scope="module")
def served(bundle):
    return tf.saved_model.load(str(bundle.saved_model))


@pytest.fixture(scope="module")
def encoded(examples) -> list[bytes]:
    parsed = next(read_examples(example_files(examples, "test"), 8))
    return list(parsed[ExampleKeys.ENCODED].numpy())


def test_answers_a_batch_of_eight_in_a_clean_process(bundle, encoded):
    answers = check_export(bundle.saved_model, encoded)
    assert answers.shapes["detection_boxes"] == [8, 50, 4]
    assert answers.unwanted_modules == []


def test_answers_as_the_detector_does(served, detector, encoded):
    images = tf.stack([tf.io.decode_image(e, 3, expand_animations=False) for e in encoded])
    ours = detector.detect(tf.cast(images, tf.float32))
    for name, value in served.signatures["serving_default"](images).items():
        assert np.abs(value.numpy() - ours[name].numpy()).max() < 1e-4


def test_any_image_size(served):
    for size in ((1, 64, 64, 3), (3, 200, 90, 3)):
        answer = served.signatures["serving_default"](tf.zeros(size, tf.uint8))
        assert answer["detection_scores"].shape[0] == size[0]


def test_the_bundle_can_be_trained_again(bundle, detector):
    from classlift.detectors.backends import load_detector

    again = load_detector("od_api", bundle.entry)
    for name, variable in again.variables().items():
        assert np.array_equal(variable.numpy(), detector.variables()[name].numpy())
    assert bundle.label_map() == detector.label_map
    assert bundle.abilities().can_branch
    assert bundle.abilities().can_branch_neck
    assert Bundle(bundle.saved_model.parent).abilities().can_branch  # one without the note
    assert bundle.operating_points() == json.loads(
        (DEMO_MODEL / "operating_points.json").read_text()
    )


def test_predictions_are_tables_in_pixels(bundle, examples):
    files = example_files(examples, "test")
    found = predict(load_signature(bundle.saved_model), files, bundle.label_map())
    assert len(found.image_ids) == 16
    assert set(found.detections["image_id"].to_pylist()) <= set(found.image_ids)
    assert max(found.detections["xmax"].to_pylist()) > 2  # pixels, not shares
    truth = [labelled_boxes(parsed).num_rows for parsed in read_examples(files, 16)]
    assert found.boxes.num_rows == sum(truth)


def test_a_broken_export_is_named(tmp_path, encoded):
    (tmp_path / "saved_model.pb").write_bytes(b"no model")
    with pytest.raises(ModelError, match="does not answer in a clean process"):
        check_export(tmp_path, encoded)
