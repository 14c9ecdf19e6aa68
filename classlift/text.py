"""Text of users on its way to a person: names as they are read, nothing that a terminal obeys."""

import difflib
from collections.abc import Iterable

MAX_MESSAGE = 2000
"""Characters of an error's sentence; a class list of a large model is longer."""


def printable(text: str, keep: str = "") -> str:
    r"""The text with what can't be printed written as Python writes it.

    Control characters can move the cursor, colour a terminal or start a new line of a log; lone
    surrogates can't be encoded at all.

    Args:
        text: of any source.
        keep: characters that stay.

    Returns:
        The text, which prints as it is.

    >>> printable("a\x1b[31mb\nc")
    'a\\x1b[31mb\\nc'

    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else repr(c)[1:-1] for c in text)


def shown(name: str) -> str:
    """A name inside a sentence.

    Args:
        name: as it was given.

    Returns:
        The name, in quotes where one would not see where it begins or ends.

    >>> shown("traffic light"), shown("car "), shown("")
    ('traffic light', "'car '", "''")

    """
    plain = name.isprintable() and name == name.strip() and "  " not in name
    return name if name and plain else repr(name)


def shorten(text: str, limit: int = MAX_MESSAGE) -> str:
    """The text with its middle left out where it is long.

    Args:
        text: of any length.
        limit: the most characters.

    Returns:
        At most so many.

    >>> shorten("a sentence", 300), len(shorten("a" * 1000, 300))
    ('a sentence', 300)

    """
    if len(text) <= limit:
        return text
    tail = limit // 3 - 3
    return f"{text[: limit - tail - 3]}...{text[-tail:]}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The known name that is nearest to another one, for a sentence; empty where none is near.

    Args:
        name: that none is called.
        known: what there is.

    Returns:
        Words that stand behind a name or a list.

    >>> did_you_mean("stepps", ["target", "steps"]), did_you_mean("x", ["target"])
    (" (did you mean 'steps'?)", '')
    >>> did_you_mean("Scoter", ["scooter"])
    " (did you mean 'scooter'?)"

    """
    names = {shorten(other, 100).casefold(): other for other in known}
    near = difflib.get_close_matches(shorten(name, 100).casefold(), names, 1)
    return f" (did you mean {shorten(names[near[0]], 100)!r}?)" if near else ""
