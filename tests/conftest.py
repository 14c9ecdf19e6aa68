"""Shared by all tests: the environment of a detector backend, and real parts made once."""

import logging
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from classlift.detectors.backends import ENVIRONMENTS
from classlift.progress import LOGGERS
from tests.servers import Postgres, start_postgres

BACKEND_VARIABLE = "CLASSLIFT_TEST_BACKEND"
BACKEND = os.environ.get(BACKEND_VARIABLE, "od_api")
"""The backend that this process can load: each needs a Keras of its own."""

LONGEST_FIRST = ("e2e", "pipeline", "unit")
"""The marks of tests."""

# Before anything imports TensorFlow or protobuf; the nodes that tests start get their own.
os.environ.update(ENVIRONMENTS[BACKEND])
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Doctests are unit tests; the longest come first, where pytest runs in several processes.

    A file stays whole. Those of seconds end the run, so that no process waits long for another.
    """
    first: dict[Path, int] = {}
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            item.add_marker(pytest.mark.unit)
        marks = [n for n, name in enumerate(LONGEST_FIRST) if item.get_closest_marker(name)]
        first[item.path] = min([*marks, first.get(item.path, len(LONGEST_FIRST))])
    items.sort(key=lambda item: first[item.path])


@pytest.fixture(autouse=True)
def lines_as_in_a_program_of_a_users() -> Iterator[None]:
    """`caplog` gets the lines of progress; what a test configures ends with the test."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    for logger in loggers:
        logger.setLevel(logging.INFO)
    yield
    for logger in loggers:
        logger.handlers.clear()
        logger.propagate = True


class _Calls(logging.Handler):
    def __init__(self, call: Callable[[str], None]) -> None:
        super().__init__()
        self._call = call

    def emit(self, record: logging.LogRecord) -> None:
        self._call(record.getMessage())


@pytest.fixture
def on_line() -> Callable[[Callable[[str], None]], None]:
    """Lets a function get each line of the library at the moment at which it is logged."""
    return lambda call: logging.getLogger("classlift").addHandler(_Calls(call))


@pytest.fixture(params=["sqlite", "postgres"])
def each_metadata_database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs twice: with SQLite in the work folder, and with a database of a server."""
    if request.param == "postgres":
        server = request.getfixturevalue("postgres")
        monkeypatch.setenv("CLASSLIFT_METADATA", server.new_database())
        monkeypatch.setenv("PGPASSWORD", server.password)


SAVE = """
import sys
import tensorflow as tf

class Model(tf.Module):
    def __init__(self):
        self.corners = tf.Variable([[[0.0, 0.0, 1.0, 1.0]]])

    def find(self, images):
        ones = tf.ones([images, 1])
        boxes = tf.tile(self.corners, [images, 1, 1])
        return {
            "detection_boxes": boxes, "detection_classes": ones, "detection_scores": ones / 2,
            "num_detections": tf.ones([images]),
        }

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)], autograph=False)
    def default(self, images):
        return self.find(tf.shape(images)[0])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def encoded(self, encoded):
        return self.find(tf.shape(encoded)[0])

model = Model()
signatures = {"serving_default": model.default, "serving_encoded": model.encoded}
tf.saved_model.save(model, sys.argv[1], signatures=signatures)
"""


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel of 24 KB with the signatures that are served; it finds one box everywhere.

    Made by another process: the tests that push it need no TensorFlow of their own.
    """
    folder = tmp_path_factory.mktemp("saved_model")
    subprocess.run([sys.executable, "-c", SAVE, str(folder)], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A Postgres server of this session's own; skips where none is installed."""
    with start_postgres("classlift", secrets.token_hex(16)) as server:
        yield server
