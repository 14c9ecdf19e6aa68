"""Colour for people at a terminal; plain text in a pipe, a file, and wherever it is not wanted."""

import os
from collections.abc import Iterable
from typing import NamedTuple, TextIO

from classlift.environment import NO_COLOUR_VARIABLE
from classlift.text import printable

PLAIN, BOLD, RED, GREEN, YELLOW = "", "1", "31", "32", "33"
"""Styles by their numbers in ECMA-48, which terminals read."""


class Line(NamedTuple):
    """A line, or several, for a person.

    Attributes:
        text: with names of users in it, which a terminal does not obey.
        style: of the whole text on a terminal.

    """

    text: str
    style: str = PLAIN


def is_wanted(stream: TextIO) -> bool:
    """Whether a stream is a terminal with colours whose user has not set NO_COLOR."""
    is_dumb = os.environ.get("TERM", "dumb") == "dumb"
    return stream.isatty() and not is_dumb and not os.environ.get(NO_COLOUR_VARIABLE)


def to_text(lines: Iterable[Line], colours: bool = False) -> str:
    r"""Lines as one text.

    Args:
        lines: of it.
        colours: whether they have their styles.

    Returns:
        The text, in which nothing but the styles is for a terminal to obey.

    >>> to_text([Line("refused", RED), Line("\x1b[2J")], colours=True)
    '\x1b[31mrefused\x1b[0m\n\\x1b[2J'

    """
    return "\n".join(_one(line, colours) for line in lines)


def _one(line: Line, colours: bool) -> str:
    text = printable(line.text, keep="\n")
    return f"\x1b[{line.style}m{text}\x1b[0m" if colours and line.style and text else text
