"""Names of classes that differ only in case or blanks: which one was meant."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping


def plain(name: str) -> str:
    r"""A name without what spelling changes: case, blanks at its ends or repeated, and what nobody
    sees: how accents are composed, and characters without a width.

    Args:
        name: of a class.

    Returns:
        The same text for all its spellings.

    >>> plain(" Traffic  Light") == plain("traffic light")
    True
    >>> plain("cafe\u0301\u200b") == plain("caf\u00e9")
    True

    """
    composed = unicodedata.normalize("NFC", name)
    seen = "".join(letter for letter in composed if unicodedata.category(letter) != "Cf")
    return " ".join(seen.split()).casefold()


def meant(labels: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """The classes that labels mean which differ from them only in spelling.

    Args:
        labels: as they were found.
        names: of the classes.

    Returns:
        By label that is none of `names`, the name. Where several names differ so, nobody can tell,
        and the label is left out.

    >>> meant(["cat ", "Cat", "dog"], ["cat", "bird"])
    {'cat ': 'cat', 'Cat': 'cat'}

    """
    known = tuple(names)
    alike = groups(known)
    found = {label: alike.get(plain(label), ()) for label in labels if label not in known}
    return {label: same[0] for label, same in found.items() if len(same) == 1}


def groups(names: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """The names that differ only in spelling, by what they have in common."""
    found: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for name in names:
        found[plain(name)] += (name,)
    return found
