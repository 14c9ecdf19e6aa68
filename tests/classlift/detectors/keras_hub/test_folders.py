"""Folders of KerasHub models: from presets and files, for other classes and sizes, and bad ones."""

import shutil

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from classlift.data.label_map import LabelMap
from classlift.detectors.backends import load_detector
from classlift.detectors.freeze import frozen_names, part_of
from classlift.detectors.keras_hub.model_folder import LABEL_MAP, MODEL
from classlift.detectors.keras_hub.new_model import small_retinanet, write_new
from classlift.errors import ConfigError, ModelError
from classlift.settings.freeze import BRANCH_PARTS, TARGET_BRANCH_NECK
from classlift.settings.recipe import Recipe
from classlift.training.step import TrainingStep
from tests.classlift.detectors.keras_hub.conftest import LABELS, batch_of

pytestmark = pytest.mark.pipeline

MORE = LabelMap(("car", "bike", "scooter", "tram", "bus"))


@pytest.mark.parametrize("name", ["retinanet", "d_fine"])
def test_a_preset_for_other_classes_in_another_size(name, folders, tmp_path):
    """All but what scores the classes is the preset's."""
    preset = keras.saving.load_model(folders[name] / MODEL, compile=False)
    preset.save_to_preset(str(tmp_path / "preset"))
    write_new(tmp_path / "new", MORE, preset=str(tmp_path / "preset"), size=96)
    old = load_detector("keras_hub", folders[name]).variables()
    detector = load_detector("keras_hub", tmp_path / "new")
    new = detector.variables()
    assert list(old) == list(new)
    for variable in old:
        if part_of(variable) == "class-head":
            assert new[variable].shape != old[variable].shape
        else:
            assert np.array_equal(new[variable], old[variable])
    assert detector.frame.size == (96, 96)
    assert detector.detect(tf.zeros([1, 96, 96, 3]))["detection_boxes"].shape[0] == 1


def test_a_file_for_the_same_classes_is_taken_as_it_is(folders, tmp_path):
    write_new(tmp_path / "new", LABELS, file=folders["retinanet"] / MODEL)
    old = load_detector("keras_hub", folders["retinanet"]).variables()
    new = load_detector("keras_hub", tmp_path / "new").variables()
    assert all(np.array_equal(new[name], old[name]) for name in old)


def test_preprocessing_is_the_models_own(folders):
    detector = load_detector("keras_hub", folders["retinanet"]).common
    converter = detector.model.preprocessor.image_converter
    images = tf.random.stateless_uniform([1, 64, 64, 3], [0, 1], 0, 255)
    before = detector._answers(images, training=False)["cls_logits"]
    converter.scale, converter.offset = [2 / 255] * 3, [-1.0, -1.0, 0.5]
    after = detector._answers(images, training=False)["cls_logits"]
    by_keras = detector.model(converter(images), training=False)["cls_logits"]
    np.testing.assert_allclose(after, by_keras, atol=1e-5)
    assert not np.allclose(before, after)


def test_a_fresh_retinanet_expects_nothing(folders):
    found = load_detector("keras_hub", folders["retinanet"]).detect(tf.zeros([1, 64, 64, 3]))
    assert float(tf.reduce_max(found["detection_scores"])) < 0.05


def test_saving_leaves_what_is_frozen(folders, tmp_path):
    detector = load_detector("keras_hub", folders["retinanet"])
    detector.freeze(frozenset(detector.variables()))
    detector.save(tmp_path)
    assert not any(
        layer.trainable
        for layer in detector.common._layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    )
    model = keras.saving.load_model(tmp_path / MODEL, compile=False)
    assert all(layer.trainable for layer in model._flatten_layers())


def test_what_a_model_can_not_do_is_said(folders):
    model = load_detector("keras_hub", folders["retinanet"])
    with pytest.raises(ModelError, match="no neck; choose the freeze policy target-branch"):
        model.grow_branches(["car"], BRANCH_PARTS[TARGET_BRANCH_NECK])
    with pytest.raises(ModelError, match="leave distillation out"):
        model.outputs(tf.zeros([1, 64, 64, 3]))
    with pytest.raises(ModelError, match="no features are kept"):
        model.features(tf.zeros([1, 64, 64, 3]))


def test_bad_folders(folders, tmp_path):
    LABELS.write(tmp_path / LABEL_MAP)
    with pytest.raises(ModelError, match=r"model\.keras: there is no such file"):
        load_detector("keras_hub", tmp_path)
    (tmp_path / MODEL).write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"model\.keras: not a model that Keras"):
        load_detector("keras_hub", tmp_path)
    keras.Sequential([keras.layers.Input([3]), keras.layers.Dense(1)]).save(tmp_path / MODEL)
    with pytest.raises(ModelError, match="the model is a Sequential; this version"):
        load_detector("keras_hub", tmp_path)
    shutil.copy(folders["d_fine"] / MODEL, tmp_path / MODEL)
    MORE.write(tmp_path / LABEL_MAP)
    with pytest.raises(ModelError, match="predicts 3 classes, its label map names 5"):
        load_detector("keras_hub", tmp_path)


@pytest.mark.parametrize(("columns", "person"), [(91, 2), (80, 1)])
def test_the_classes_of_a_preset_trained_on_coco(columns, person, tmp_path):
    """Its columns keep their names and their weights; those without a name are never answered."""
    preset = small_retinanet(columns, 64, widths=(64, 16, 16), depth=1)
    preset.save(tmp_path / "preset.keras")
    write_new(tmp_path / "new", None, file=tmp_path / "preset.keras")
    found = load_detector("keras_hub", tmp_path / "new")
    assert len(found.label_map) == 80
    assert found.label_map.id_of("person") == person
    assert found.label_map.id_of("traffic_light") == found.label_map.id_of("traffic light")
    for ours, theirs in zip(found.common.model.weights, preset.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    answer = found.detect(tf.zeros([1, 64, 64, 3]))
    count = int(answer["num_detections"][0])
    assert count
    assert set(answer["detection_classes"][0, :count].numpy()) <= set(found.label_map.ids)
    other = small_retinanet(7, 64, widths=(64, 16, 16), depth=1)
    other.save(tmp_path / "other.keras")
    with pytest.raises(ConfigError, match=r"it has 7 classes, .* name them by --labels"):
        write_new(tmp_path / "none", None, file=tmp_path / "other.keras")


@pytest.mark.parametrize("name", ["retinanet", "d_fine"])
def test_columns_without_a_name(name, folders, tmp_path):
    """Are never answered, and training leaves them as they are."""
    shutil.copytree(folders[name], tmp_path / "model")
    some = LabelMap(("car", "scooter"), (1, 3))
    some.write(tmp_path / "model" / LABEL_MAP)
    found, whole = (load_detector("keras_hub", f) for f in (tmp_path / "model", folders[name]))
    for detector in (found, whole):  # the class without a name is what both see everywhere
        for name, variable in detector.variables().items():
            if name.startswith("class-head/") and name.endswith("bias"):
                variable.assign(np.tile([-2.0, 2.0, -2.0], variable.shape[-1] // 3))
    batch = batch_of([[(0.2, 0.2, 0.7, 0.7, 3, 1.0)]] * 2)
    answers = [detector.detect(batch.images) for detector in (found, whole)]
    classes = [
        set(answer["detection_classes"][0, : int(answer["num_detections"][0])].numpy().astype(int))
        for answer in answers
    ]
    assert classes[0] <= {1, 3}
    assert classes[0]
    assert 2 in classes[1]
    frozen = frozen_names("all-but-class-head", list(found.variables()))
    trained = found.freeze(frozen)
    before = {name: variable.numpy() for name, variable in trained.items()}
    step = TrainingStep(found, trained, Recipe(batch_size=2, steps=5))
    step((), batch)
    for name, variable in trained.items():
        after = variable.numpy().reshape(-1, 3)
        assert np.array_equal(after[:, 1], before[name].reshape(-1, 3)[:, 1]), name
    assert any((v.numpy() != before[name]).any() for name, v in trained.items())


def test_bad_sources(folders, tmp_path):
    with pytest.raises(ModelError, match="The preset 'no_such_preset' of KerasHub could not be"):
        write_new(tmp_path, LABELS, preset="no_such_preset")
    with pytest.raises(ConfigError, match="--size is 50; it must be a multiple of 32"):
        write_new(tmp_path, LABELS, file=folders["d_fine"] / MODEL, size=50)


def test_small_images_have_few_places_for_queries(folders, tmp_path):
    write_new(tmp_path / "new", LABELS, small="d_fine", size=64)
    detector = load_detector("keras_hub", tmp_path / "new")
    assert detector.detect(tf.zeros([1, 64, 64, 3]))["detection_boxes"].shape == (
        1,
        4 * 4 + 2 * 2,
        4,
    )
    with pytest.raises(ModelError, match="8 queries, and images of 32 x 32 pixels have 5 places"):
        write_new(tmp_path / "32", LABELS, file=folders["d_fine"] / MODEL, size=32)


def test_a_model_for_images_of_any_size_needs_one(folders, tmp_path):
    """As those that are published without a preprocessor."""
    model = keras.saving.load_model(folders["retinanet"] / MODEL, compile=False)
    config = model.get_config()
    for part in (config["backbone"], config["backbone"]["config"]["image_encoder"]):
        part["config"]["image_shape"] = (None, None, 3)
    config["preprocessor"] = None
    keras_hub.models.RetinaNetObjectDetector.from_config(config).save(tmp_path / "any.keras")
    with pytest.raises(ModelError, match="images of any size, and training needs one"):
        write_new(tmp_path / "new", LABELS, file=tmp_path / "any.keras")
    write_new(tmp_path / "new", LABELS, file=tmp_path / "any.keras", size=64)
    assert load_detector("keras_hub", tmp_path / "new").frame.size == (64, 64)
