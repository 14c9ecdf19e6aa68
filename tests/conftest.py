"""Shared by all tests: the environment of the OD API, and real parts made once."""

import os

import pytest

from components.detectors import od_api

# Before anything imports TensorFlow or protobuf; the nodes that tests start get their own.
os.environ.update(od_api.ENVIRONMENT)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Doctests are unit tests."""
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            item.add_marker(pytest.mark.unit)
