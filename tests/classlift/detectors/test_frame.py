import numpy as np
import pytest
import tensorflow as tf

from classlift.detectors.export import Serving
from classlift.detectors.frame import Frame
from classlift.detectors.od_api.branching import Branched
from classlift.detectors.od_api.ssd import SsdDetector
from classlift.detectors.od_api.zoo_entry import read_config
from tests.classlift.conftest import DEMO_MODEL

pytestmark = pytest.mark.pipeline


def picture(height, width):
    return tf.random.stateless_uniform([height, width, 3], [height, width], 0, 255)


@pytest.mark.parametrize("shape", [(38, 64), (64, 38), (50, 50), (20, 100), (7, 300), (640, 381)])
@pytest.mark.parametrize("short_side", [64, 48])
def test_keeps_the_aspect_as_the_od_api_does(shape, short_side):
    from object_detection.core.preprocessor import resize_to_range

    expected, true_shape = resize_to_range(
        picture(*shape), min_dimension=short_side, max_dimension=64, pad_to_max_dimension=True
    )
    fitted, taken = Frame(64, 64, short_side, pixel_centres=False).fit(picture(*shape))
    np.testing.assert_allclose(fitted, expected, atol=1e-3)
    np.testing.assert_allclose(taken[:2] * 64, true_shape[:2], atol=1e-4)


def test_stretches_as_the_od_api_does():
    from object_detection.core.preprocessor import resize_image

    expected, _ = resize_image(picture(38, 100), new_height=64, new_width=32)
    fitted, _ = Frame(64, 32, pixel_centres=False).fit(picture(38, 100))
    np.testing.assert_allclose(fitted, expected, atol=1e-3)


def test_stretches_where_the_aspect_is_not_kept():
    fitted, taken = Frame(32, 64).fit(picture(50, 50))
    assert fitted.shape == (32, 64, 3)
    assert taken.numpy().tolist() == [1, 1, 1, 1]


@pytest.fixture(scope="module")
def keeps_aspect(detector):
    """The demo's model with the other resizer of the zoo."""
    config = read_config(DEMO_MODEL)
    resizer = config.model.ssd.image_resizer
    resizer.ClearField("fixed_shape_resizer")
    resizer.keep_aspect_ratio_resizer.min_dimension = 128
    resizer.keep_aspect_ratio_resizer.max_dimension = 128
    resizer.keep_aspect_ratio_resizer.pad_to_max_dimension = True
    kept = Branched(SsdDetector(config, detector.label_map))
    for name, variable in kept.variables().items():
        variable.assign(detector.variables()[name])
    return kept


def test_boxes_are_those_of_the_image_and_not_of_its_padding(keeps_aspect):
    serving = Serving(keeps_aspect)
    wide = tf.cast(picture(64, 128), tf.uint8)
    padded = tf.image.pad_to_bounding_box(wide, 0, 0, 128, 128)
    of_wide, of_padded = (serving.default(image[None]) for image in (wide, padded))
    count = int(of_wide["num_detections"][0])
    assert count > 0
    np.testing.assert_allclose(
        of_wide["detection_boxes"][0, :count],
        np.minimum(of_padded["detection_boxes"][0, :count] * [2, 1, 2, 1], 1.0),
        atol=1e-4,
    )
    encoded = serving.encoded(tf.io.encode_png(wide)[None])
    for name, value in encoded.items():
        np.testing.assert_allclose(value, of_wide[name], atol=1e-4)
