"""Shared by all tests: the environment of a detector backend, and real parts made once."""

import os

import pytest

from components.detectors.backends import ENVIRONMENTS

BACKEND_VARIABLE = "CLASSLIFT_TEST_BACKEND"
BACKEND = os.environ.get(BACKEND_VARIABLE, "od_api")
"""The backend that this process can load: each needs a Keras of its own."""

# Before anything imports TensorFlow or protobuf; the nodes that tests start get their own.
os.environ.update(ENVIRONMENTS[BACKEND])
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Doctests are unit tests."""
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            item.add_marker(pytest.mark.unit)
