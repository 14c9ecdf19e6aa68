"""What the OD API backend refuses, each with a sentence."""

import shutil

import pytest

from classlift.detectors.backends import load_detector
from classlift.errors import ConfigError, DataError, ModelError
from tests.classlift.conftest import DEMO_MODEL

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


def test_the_extractors_of_tensorflow_2_can_be_fine_tuned():
    from object_detection.builders import model_builder

    from classlift.detectors.od_api.outline import EXTRACTORS

    known = {
        "ssd": model_builder.SSD_KERAS_FEATURE_EXTRACTOR_CLASS_MAP,
        "faster_rcnn": model_builder.FASTER_RCNN_KERAS_FEATURE_EXTRACTOR_CLASS_MAP,
        "center_net": model_builder.CENTER_NET_EXTRACTOR_FUNCTION_MAP,
    }
    assert {kind: set(found) for kind, found in known.items()} == {
        kind: set(names) for kind, names in EXTRACTORS.items()
    }


TRAINING = """
train_config: {
  data_augmentation_options { random_cutout_of_the_year { share: 0.5 } }
  fine_tune_checkpoint: "PATH_TO_BE_CONFIGURED"
  fine_tune_checkpoint_type: "classification"
  fine_tune_checkpoint_version: V3
}
train_input_reader { tf_record_input_reader { input_path: "PATH_TO_BE_CONFIGURED" } new: 1 }
eval_config { metrics_set: "coco_detection_metrics" }
"""


def test_what_training_alone_needs_may_be_unknown(entry):
    from classlift.detectors.od_api.zoo_entry import read_config

    own = read_config(entry)
    path = entry / "pipeline.config"
    path.write_text(TRAINING + path.read_text())
    found = read_config(entry)
    assert found.model == own.model
    assert list(found.eval_config.metrics_set) == ["coco_detection_metrics"]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "num_classes: 10",
            "num_classes: 10 number_of_heads: 2",
            'no field named "number_of_heads"',
        ),
        ("model {", "modell { } model {", "no section 'modell'"),
        ("height: 128", "height: 2000000000", "asks for 2000000000 and 128 pixels a side"),
        ("height: 128", "height: 0", "asks for 0 and 128 pixels a side"),
        ("height: 128", "height: -1", "asks for -1 and 128 pixels a side"),
        ("min_level: 3 max_level: 5", "min_level: 5 max_level: 3", "can't build the model"),
        ("kernel_size: 3", "kernel_size: 0", "can't build the model"),
        ("SIGMOID", "SIGMA", "not a pipeline config"),
    ],
)
def test_a_config_that_contradicts_itself_is_one_sentence(entry, old, new, sentence):
    replace(entry / "pipeline.config", old, new)
    with pytest.raises(ModelError, match=sentence) as error:
        load_detector("od_api", entry)
    assert "\n" not in str(error.value)


def flip(path, at=-100):
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:1000]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(bytes(range(256)) * 40),
        lambda path: path.unlink(),
        flip,
    ],
)
@pytest.mark.parametrize("name", ["ckpt-0.index", "ckpt-0.data-00000-of-00001"])
def test_a_damaged_checkpoint_is_one_sentence(entry, name, damage):
    damage(entry / "checkpoint" / name)
    with pytest.raises(ModelError, match=r"checkpoint is damaged|there is no checkpoint") as error:
        load_detector("od_api", entry)
    assert "\n" not in str(error.value)
    assert "copy it" in str(error.value)


def test_a_checkpoint_beside_the_config_without_a_state_file(entry, detector):
    for path in (entry / "checkpoint").glob("ckpt-0.*"):
        path.rename(entry / path.name.replace("ckpt-0", "ckpt-12"))
    shutil.rmtree(entry / "checkpoint")
    (entry / "checkpoint").write_text('model_checkpoint_path: "/gone/ckpt-12"')
    found = load_detector("od_api", entry)
    for name, variable in detector.variables().items():
        assert (found.variables()[name].numpy() == variable.numpy()).all()
