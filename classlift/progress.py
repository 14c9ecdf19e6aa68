"""Progress for people: where the lines go that a process logs.

A module logs to the logger of its own name and prints nothing. Whoever starts a process calls
`configure` once, before anything is imported that takes long; other libraries' loggers stay as they
are, and their lines reach none of ours.
"""

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn, TextIO

from classlift.environment import PROGRESS_VARIABLE
from classlift.text import printable

MARK = "classlift| "
"""Begins the lines of a node in its output, among all that libraries write there."""

LOGGERS = ("classlift", "components", "pipelines", "demo", "__main__")
"""The loggers above all of ours; `__main__` is the module that a process was started with."""

SECONDS = 5.0
"""Between two lines on how far a work is."""

ELAPSED = "%(elapsed)6.1f s  "
"""Begins a line with the seconds since the process began to log."""


class _Formatter(logging.Formatter):
    """One line a message: names in it can't begin another, or colour a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        record.elapsed = record.relativeCreated / 1000
        return printable(super().format(record))


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to a stream; what can't be written is an error as it is for `print`."""

    def handleError(self, record: logging.LogRecord) -> NoReturn:
        raise


def configure(stream: TextIO, begins: str = "") -> None:
    """Lets the lines of this process go to a stream, from here on and nowhere else.

    Args:
        stream: for whole lines.
        begins: a format of `logging` that stands before each message.

    """
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers[:] = [_handler(stream, begins)]
        logger.setLevel(logging.INFO)
        logger.propagate = False  # to what libraries do with the root


def configure_node(node: str) -> None:
    """Lets the lines of this process say which node they are of, for the runner to pick out.

    Where a runner does not read the output itself, it has named a file that gets the lines first.
    """
    begins = f"{node}: ".replace("%", "%%")
    configure(sys.stdout, MARK + begins)
    path = os.environ.get(PROGRESS_VARIABLE)
    if path:
        file = logging.FileHandler(path, encoding="utf-8")
        file.setFormatter(_Formatter(f"{begins}%(message)s"))
        for name in LOGGERS:
            logging.getLogger(name).handlers.insert(0, file)


def show_by_default() -> None:
    """Lets lines go to stderr in a program of a user's that has said nothing about logging."""
    logger = logging.getLogger("classlift")
    if not logger.hasHandlers():
        logger.addHandler(_handler(sys.stderr))
        logger.setLevel(logging.INFO)


class Countdown:
    """Says every few seconds how much of a work is done, and what time is left.

    Args:
        logger: that says it.
        total: how much there is.
        noun: what is counted, such as "images".

    """

    def __init__(self, logger: logging.Logger, total: int, noun: str) -> None:
        self._logger, self._total, self._noun = logger, total, noun
        self._done = 0
        self._began = self._said = time.monotonic()

    def add(self, count: int) -> None:
        """Counts what was just done; says how far that is where it is time."""
        self.reach(self._done + count)

    def reach(self, done: int) -> None:
        """Counts all that is done by now; says how far that is where it is time, and more is."""
        now = time.monotonic()
        is_more, self._done = done > self._done, done
        if not is_more or done >= self._total or now - self._said < SECONDS:
            return
        left = (now - self._began) / done * (self._total - done)
        self._logger.info(f"{done:,} of {self._total:,} {self._noun}, {left:,.0f} s left")
        self._said = now


def _handler(stream: TextIO, begins: str = "") -> logging.Handler:
    handler = _Handler(stream)
    handler.setFormatter(_Formatter(f"{begins}%(message)s"))
    return handler


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
