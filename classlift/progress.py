"""Progress for people: lines that the runners pick out of a node's output."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from classlift.text import printable

MARK = "classlift| "

_node = ""


def begin(node: str) -> None:
    """From here on, each line says which node it is of."""
    global _node
    _node = f"{node}: "


def say(message: str) -> None:
    """One line of progress; names in it can't begin another, or colour a terminal."""
    print(f"{MARK}{_node}{printable(message)}", flush=True)


def to_stderr(text: str) -> None:
    """Prints text with names of users in it beside a command's result; a terminal obeys none."""
    print(printable(text, keep="\n"), file=sys.stderr, flush=True)


def escape_what_is_not_printable() -> None:
    """Lets both outputs of this process write as escapes what the encoding of the shell lacks."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


@contextmanager
def without_stderr() -> Iterator[None]:
    """Nothing of this process reaches stderr, whoever writes to it."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
