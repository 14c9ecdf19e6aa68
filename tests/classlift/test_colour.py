"""Colours at a terminal, and nowhere else; a real terminal, a pipe and a dumb one."""

import os
import pty
import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit
SAY = (
    "from classlift.cli.command import say; from classlift.colour import RED, Line;"
    r"say(Line('refused', RED), 'plain \x1b[2J')"
)
PLAIN = "refused\nplain \\x1b[2J\n"
COLOURED = "\x1b[31mrefused\x1b[0m\nplain \\x1b[2J\n"


def said(variables: dict[str, str], stdout: int) -> None:
    environment = {name: os.environ[name] for name in ("HOME", "PATH")} | variables
    command = [sys.executable, "-c", SAY]
    subprocess.run(command, env=environment, stdout=stdout, check=True)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"TERM": "xterm"}, COLOURED),
        ({"TERM": "xterm", "NO_COLOR": ""}, COLOURED),  # empty is as good as not set
        ({"TERM": "xterm", "NO_COLOR": "1"}, PLAIN),
        ({"TERM": "dumb"}, PLAIN),
        ({}, PLAIN),
    ],
)
def test_a_terminal_gets_colours_where_they_are_wanted(variables, expected):
    ours, terminal = pty.openpty()
    try:
        said(variables, terminal)
        assert os.read(ours, 1000).decode().replace("\r\n", "\n") == expected
    finally:
        os.close(ours)
        os.close(terminal)


def test_a_pipe_gets_plain_text():
    ours, pipe = os.pipe()
    with os.fdopen(ours) as reader:
        said({"TERM": "xterm"}, pipe)
        os.close(pipe)
        assert reader.read() == PLAIN
