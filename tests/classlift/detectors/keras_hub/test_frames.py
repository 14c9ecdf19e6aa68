"""Models of KerasHub keep their own way to resize: Keras is the oracle."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from classlift.detectors.backends import load_detector
from classlift.detectors.export import Serving
from classlift.detectors.frame import Frame
from classlift.detectors.keras_hub.model_folder import LABEL_MAP, MODEL
from tests.classlift.detectors.keras_hub.conftest import LABELS

pytestmark = pytest.mark.pipeline

SHAPES = [(38, 64), (64, 38), (50, 50), (20, 101), (7, 300), (641, 381)]
BOX = [0.45, 0.4, 0.6, 0.55]
"""ymin, xmin, ymax, xmax in 0..1, near the centre: seen in any crop."""


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("way", ["pad", "crop"])
@pytest.mark.parametrize("size", [(64, 64), (32, 96)])
def test_as_keras(shape, way, size):
    picture = np.random.default_rng(0).uniform(0, 255, (*shape, 3)).astype(np.float32)
    layer = keras.layers.Resizing(*size, **{f"{way}_to_aspect_ratio": True})
    frame = Frame(*size, centred=way)
    fitted, taken = frame.fit(tf.constant(picture))
    np.testing.assert_allclose(fitted, layer(picture), atol=1e-2)
    batch, _ = frame.fit(tf.constant(np.stack([picture] * 2)))
    np.testing.assert_allclose(batch[1], fitted, atol=1e-2)
    found = frame.to_frame(tf.constant([BOX]), taken)
    np.testing.assert_allclose(frame.to_image(found, taken), [BOX], atol=1e-5)
    # What lies in the box before lies in it after: its middle, in a picture that is one ramp.
    ramp = np.stack(np.meshgrid(*(np.arange(n) / n for n in shape), indexing="ij"), axis=-1)
    ramp = np.concatenate([ramp, np.ones((*shape, 1))], axis=-1).astype(np.float32)
    placed, _ = frame.fit(tf.constant(ramp))
    middle = [float(found[0, i] + found[0, i + 2]) / 2 for i in (0, 1)]
    row, column = (min(int(m * n), n - 1) for m, n in zip(middle, size, strict=True))
    wanted = [(BOX[i] + BOX[i + 2]) / 2 for i in (0, 1)]
    step = 2.0 * max(1 / n for n in (*shape, *size)) * float(tf.reduce_max(1 / taken))
    np.testing.assert_allclose(placed[row, column, :2], wanted, atol=step + 0.02)


@pytest.mark.parametrize("way", ["pad", "crop"])
def test_a_model_keeps_its_way_to_resize(folders, tmp_path, way):
    model = keras.saving.load_model(folders["retinanet"] / MODEL, compile=False)
    converter = model.preprocessor.image_converter
    config = converter.get_config() | {
        "crop_to_aspect_ratio": way == "crop",
        "pad_to_aspect_ratio": way == "pad",
        "antialias": True,
    }
    model.preprocessor.image_converter = type(converter).from_config(config)
    model.save(tmp_path / MODEL)
    LABELS.write(tmp_path / LABEL_MAP)
    detector = load_detector("keras_hub", tmp_path)
    assert detector.frame == Frame(64, 64, centred=way, antialias=True)
    wide = np.random.default_rng(0).integers(0, 255, (1, 40, 100, 3)).astype(np.uint8)
    found = {k: v.numpy() for k, v in Serving(detector).default(tf.constant(wide)).items()}
    fitted = type(converter).from_config(config).resizing(wide.astype(np.float32))
    plain = {k: v.numpy() for k, v in detector.detect(tf.constant(fitted)).items()}
    np.testing.assert_allclose(found["detection_scores"], plain["detection_scores"], atol=1e-4)
    count = int(found["num_detections"][0])
    boxes, in_frame = (f["detection_boxes"][0, :count] for f in (found, plain))
    assert count
    width = boxes[:, 3] - boxes[:, 1]
    inner = (boxes > 0).all(axis=1) & (boxes < 1).all(axis=1)  # not cut off by an edge
    share = {"pad": 1.0, "crop": 0.4}[way]  # of the image's width that the frame shows
    expected = (in_frame[:, 3] - in_frame[:, 1]) * share
    np.testing.assert_allclose(width[inner], expected[inner], atol=1e-3)
    height = (in_frame[:, 2] - in_frame[:, 0]) * {"pad": 2.5, "crop": 1.0}[way]
    np.testing.assert_allclose((boxes[:, 2] - boxes[:, 0])[inner], height[inner], atol=1e-2)
