"""The classes that a run is to raise: a name or a list of names, wherever a user or a file says it.

>>> targets_of("bike"), targets_of(["bike", "tram"])
(('bike',), ('bike', 'tram'))
>>> as_value(("bike",)), as_value(("bike", "tram"))
('bike', ['bike', 'tram'])
"""

from collections.abc import Sequence

from classlift.text import shown

Target = str | Sequence[str]
"""A value of the setting `target`."""


def targets_of(value: Target) -> tuple[str, ...]:
    """The classes that a value names."""
    return (value,) if isinstance(value, str) else tuple(value)


def as_value(targets: Sequence[str]) -> Target:
    """The value that names some classes: a single one is a name, as ever."""
    return targets[0] if len(targets) == 1 else list(targets)


def classes_in_words(targets: Sequence[str]) -> str:
    """Classes as a sentence names them.

    Args:
        targets: the classes, at least one.

    Returns:
        A phrase.

    >>> classes_in_words(["bike"]), classes_in_words(["bike", "tram", "van"])
    ('class bike', 'classes bike, tram and van')

    """
    *others, last = map(shown, targets)
    return f"classes {', '.join(others)} and {last}" if others else f"class {last}"
