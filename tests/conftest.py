"""Shared by all tests: the environment of a detector backend, and real parts made once."""

import os
import secrets
from collections.abc import Iterator

import pytest

from components.detectors.backends import ENVIRONMENTS
from tests.servers import Postgres, start_postgres

BACKEND_VARIABLE = "CLASSLIFT_TEST_BACKEND"
BACKEND = os.environ.get(BACKEND_VARIABLE, "od_api")
"""The backend that this process can load: each needs a Keras of its own."""

# Before anything imports TensorFlow or protobuf; the nodes that tests start get their own.
os.environ.update(ENVIRONMENTS[BACKEND])
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Doctests are unit tests; the longest come first, where pytest runs in several processes."""
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            item.add_marker(pytest.mark.unit)
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)


@pytest.fixture(params=["sqlite", "postgres"])
def each_metadata_database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs twice: with SQLite in the work folder, and with a database of a server."""
    if request.param == "postgres":
        server = request.getfixturevalue("postgres")
        monkeypatch.setenv("CLASSLIFT_METADATA", server.new_database())
        monkeypatch.setenv("PGPASSWORD", server.password)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A Postgres server of this session's own; skips where none is installed."""
    with start_postgres("classlift", secrets.token_hex(16)) as server:
        yield server
