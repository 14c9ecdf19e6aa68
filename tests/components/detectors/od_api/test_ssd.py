"""What the OD API backend refuses, each with a sentence."""

import shutil

import pytest

from components.detectors.backends import load_detector
from components.errors import ConfigError, DataError, ModelError
from tests.components.detectors.conftest import DEMO_MODEL

pytestmark = pytest.mark.pipeline


@pytest.fixture
def entry(tmp_path):
    return shutil.copytree(DEMO_MODEL, tmp_path / "entry")


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda e: (e / "pipeline.config").unlink(), "there is no pipeline.config"),
        (lambda e: (e / "pipeline.config").write_text("model {"), "not a pipeline config"),
        (lambda e: shutil.rmtree(e / "checkpoint"), "there is no checkpoint"),
        (
            lambda e: replace(e / "pipeline.config", "num_classes: 10", "num_classes: 9"),
            "predicts 9 classes, its label map names 10",
        ),
        (
            lambda e: replace(
                e / "pipeline.config",
                "fixed_shape_resizer { height: 128 width: 128 }",
                "keep_aspect_ratio_resizer { min_dimension: 128 }",
            ),
            "set pad_to_max_dimension: true",
        ),
        (
            lambda e: replace(e / "pipeline.config", "depth: 64", "depth: 32"),
            "does not fit",
        ),
    ],
)
def test_refuses_with_a_sentence(entry, damage, sentence):
    damage(entry)
    with pytest.raises(ModelError, match=sentence):
        load_detector("od_api", entry)


def test_a_missing_label_map_is_named(entry):
    (entry / "label_map.pbtxt").unlink()
    with pytest.raises(DataError, match=r"label_map.pbtxt: the label map can't be read"):
        load_detector("od_api", entry)


def test_an_unknown_backend_is_refused(entry):
    with pytest.raises(ConfigError, match="no detector backend 'yolo'"):
        load_detector("yolo", entry)
