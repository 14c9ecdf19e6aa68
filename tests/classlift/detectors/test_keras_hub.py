"""The harness of test_backends.py, and the folder keras_hub, in a process with Keras 3.

A file of its own, so that another process runs it at the same time. Without this one:
CLASSLIFT_TEST_BACKEND=keras_hub .venv/ml/bin/python -m pytest tests/classlift/detectors/keras_hub
tests/classlift/detectors/test_backends.py
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import BACKEND_VARIABLE
from tests.project import ROOT, clean_environment


@pytest.mark.pipeline
def test_keras_hub_passes_the_same_harness():
    files = [str(Path(__file__).with_name(name)) for name in ("test_backends.py", "keras_hub")]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", *files],
        cwd=ROOT,
        # With the options of this run it would empty the same folder.
        env={**clean_environment(), BACKEND_VARIABLE: "keras_hub", "PYTEST_ADDOPTS": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    assert " passed" in result.stdout, result.stdout
