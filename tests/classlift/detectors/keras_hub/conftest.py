"""These tests need Keras 3: see tests/classlift/detectors/test_backends.py."""

import numpy as np
import pytest
import tensorflow as tf

from classlift.data.label_map import LabelMap
from classlift.detectors.backends import load_detector
from classlift.detectors.detector import Batch
from tests.classlift.detectors.models import write_d_fine, write_retinanet
from tests.conftest import BACKEND

collect_ignore_glob = [] if BACKEND == "keras_hub" else ["test_*.py"]

LABELS = LabelMap(("car", "bike", "scooter"))


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Folders of a RetinaNet and a D-FINE, by name."""
    writers = {"retinanet": write_retinanet, "d_fine": write_d_fine}
    root = tmp_path_factory.mktemp("keras_hub")
    return {name: write(root / name, LABELS) for name, write in writers.items()}


@pytest.fixture(scope="session")
def retinanet(folders):
    return frozen(load_detector("keras_hub", folders["retinanet"])).common


@pytest.fixture(scope="session")
def d_fine(folders):
    detector = frozen(load_detector("keras_hub", folders["d_fine"])).common
    rng = np.random.default_rng(0)
    for variable in detector.variables().values():
        if variable.trainable and variable.shape.ndims:  # a fresh decoder moves no box
            variable.assign_add(rng.normal(0, 0.05, variable.shape))
    return detector


def frozen(detector):
    """With batch norm as in inference, so that the same images give the same answers."""
    detector.freeze(frozenset(detector.variables()))
    return detector


def batch_of(boxes_by_image, seed=0, padding=1):
    """Noise with boxes (ymin, xmin, ymax, xmax, label, weight), and padding."""
    rng = np.random.default_rng(seed)
    longest = max(map(len, boxes_by_image)) + padding
    rows = np.zeros((len(boxes_by_image), longest, 6), np.float32)
    for row, boxes in zip(rows, boxes_by_image, strict=True):
        row[: len(boxes)] = np.reshape(boxes, (-1, 6))
    images = rng.uniform(0, 255, (len(rows), 64, 64, 3)).astype(np.float32)
    return Batch(
        images=tf.constant(images),
        boxes=tf.constant(rows[..., :4]),
        labels=tf.constant(rows[..., 4].astype(np.int32)),
        weights=tf.constant(rows[..., 5]),
    )
