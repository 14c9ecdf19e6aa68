import shutil

import numpy as np
import pytest

from components.bulk_detect.detect import PARTS, detect
from components.dataset.examples import example_files
from components.dataset.predictions import Predictions
from components.detectors.bundle import write_bundle
from components.detectors.export import Serving
from components.detectors.predict import load_signature, predict
from components.errors import DataError
from tests.components.conftest import quiet
from tests.components.test_transforms import PROCESSES

pytestmark = pytest.mark.pipeline
SPLITS = ("eval", "test")


@pytest.fixture(scope="module")
def saved_model(detector, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "model"
    write_bundle(detector, Serving(detector), folder)
    return folder


def test_says_what_the_model_says(saved_model, detector, examples, tmp_path):
    detect(saved_model, examples, SPLITS, tmp_path, report=quiet)
    serve = load_signature(saved_model)
    for split in SPLITS:
        found = Predictions.read(tmp_path / split)
        plain = predict(serve, example_files(examples, split), detector.label_map, quiet)
        assert found.image_ids == plain.image_ids
        assert found.boxes.equals(plain.boxes)
        assert found.detections.equals(plain.detections)
    assert not (tmp_path / PARTS).exists()


def test_two_processes_say_the_same(saved_model, examples, tmp_path):
    """Up to the last digits: kernels of another process may sum in another order."""
    detect(saved_model, examples, ("test",), tmp_path / "one", report=quiet)
    detect(saved_model, examples, ("test",), tmp_path / "two", PROCESSES, quiet)
    one, two = (Predictions.read(tmp_path / name / "test") for name in ("one", "two"))
    assert one.image_ids == two.image_ids
    assert one.detections["label"].equals(two.detections["label"])
    np.testing.assert_allclose(one.detections["score"], two.detections["score"], atol=1e-5)


def test_a_model_of_other_classes_is_named(saved_model, examples, tmp_path):
    other = shutil.copytree(saved_model, tmp_path / "other")
    (other / "assets.extra" / "label_map.pbtxt").write_text("item { id: 1 name: '0' }")
    with pytest.raises(DataError, match="they do not belong together"):
        detect(other, examples, ("eval",), tmp_path / "found", report=quiet)
