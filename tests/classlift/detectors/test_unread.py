"""What users give as a model that is none: what it is, and what to do."""

import pytest

from classlift.detectors.backends import backend_of, require_model, trainable_backend_of
from classlift.errors import ModelError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("ssd_mobilenet_v2.tar.gz", "this is an archive: unpack it, and give the folder in it"),
        ("model.ZIP", "this is an archive: unpack it"),
        ("mine.keras", "`classlift new-model --keras "),
        ("yolo.onnx", "this is an ONNX model, which can't be fine-tuned here; take an SSD"),
        ("best.pt", "this is a PyTorch model"),
        ("detect.tflite", "this is a TF Lite model"),
        ("weights.h5", "this is a file of Keras' weights"),
        ("yolov4.weights", "this is a Darknet model"),
        ("notes.txt", "this is a file; give the folder of a model"),
        ("pipeline.config", "give its folder, "),
    ],
)
def test_a_file(tmp_path, name, sentence):
    path = tmp_path / "models" / name
    path.parent.mkdir()
    path.write_bytes(b"-")
    with pytest.raises(ModelError) as error:
        backend_of(path)
    assert str(error.value).startswith(f"{path}: ")
    assert sentence in str(error.value)
    if name in ("notes.txt", "pipeline.config"):
        return
    with pytest.raises(ModelError) as error:  # and the folder that has it
        trainable_backend_of(path.parent)
    assert str(error.value).startswith(f"{path}: ")
    assert sentence in str(error.value)


def test_a_preset_of_keras_hub(tmp_path):
    for name in ("config.json", "model.weights.h5", "task.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(ModelError, match=r"classlift new-model --preset .* FOLDER"):
        backend_of(tmp_path)


@pytest.mark.parametrize("place", ["saved_model", "."])
def test_a_saved_model_answers_and_can_not_be_trained(tmp_path, place):
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / "saved_model.pb").write_bytes(b"-")
    (tmp_path / "label_map.pbtxt").write_text("item { id: 1 name: 'a' }")
    with pytest.raises(ModelError, match=r"a SavedModel alone, .* give the folder with the pipel"):
        trainable_backend_of(tmp_path)
    (tmp_path / "pipeline.config").write_text("")
    assert trainable_backend_of(tmp_path) == backend_of(tmp_path) == "od_api"


def test_a_version_that_is_served_has_what_it_was_trained_from(tmp_path):
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "pipeline.config").write_text("")
    (tmp_path / "saved_model.pb").write_bytes(b"-")
    with pytest.raises(ModelError, match=r"give the folder of a model, such as .*assets.extra"):
        trainable_backend_of(tmp_path)


def test_a_model_of_another_backend_names_it(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"-")
    with pytest.raises(ModelError, match=r"a model of keras_hub: set `model.backend` to that"):
        require_model("od_api", tmp_path)


def test_nothing_there(tmp_path):
    (tmp_path / "models").mkdir()
    with pytest.raises(ModelError, match=r"modles: there is no such folder.*'models'"):
        trainable_backend_of(tmp_path / "modles")
