"""Whoever reads the output of a command may go: that is no fault, and no traceback."""

import subprocess
import sys

import pytest

from classlift.errors import EXIT_CLOSED_PIPE
from tests.project import plain_shell

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("words", [["settings"], ["settings", "--json"], ["--help"], ["--version"]])
def test_a_command_ends_quietly_when_its_reader_goes(words):
    with subprocess.Popen(
        [sys.executable, "-m", "classlift", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=plain_shell(),
    ) as process:
        process.stdout.close()  # before it has written a word
        assert process.stderr.read() == b""
    assert process.returncode == EXIT_CLOSED_PIPE


def test_a_reader_that_stays_gets_all():
    whole = subprocess.run(
        [sys.executable, "-m", "classlift", "settings"],
        env=plain_shell(),
        capture_output=True,
        check=True,
    )
    assert whole.stdout.count(b"\n") > 50
    assert whole.stderr == b""
