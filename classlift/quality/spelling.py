"""Names of classes that differ only in case or blanks: which one was meant."""

from collections import defaultdict
from collections.abc import Iterable, Mapping


def plain(name: str) -> str:
    """A name without what spelling changes: case, and blanks at its ends or repeated.

    Args:
        name: of a class.

    Returns:
        The same text for all its spellings.

    >>> plain(" Traffic  Light") == plain("traffic light")
    True

    """
    return " ".join(name.split()).casefold()


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
