"""The real demo, run once for all tests that need its result."""

import subprocess

import pytest

from tests.project import Project, make_project


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> tuple[Project, subprocess.CompletedProcess]:
    """A finished run of the demo through Airflow: five minutes."""
    project = make_project(tmp_path_factory.mktemp("demo"), "demo_test")
    return project, project.demo()
