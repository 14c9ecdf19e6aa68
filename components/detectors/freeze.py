"""Freeze policies: which parts of a detector training leaves as they are.

A new policy is a line in `POLICIES`. This module imports no TensorFlow: the form needs its names.
"""

from components.errors import ConfigError

PARTS = ("backbone", "neck", "head", "branch")
"""The parts of a detector, in the order in which an image passes through them.

A branch is a head of its own for one class; most models have none.
"""

TARGET_BRANCH = "target-branch"
"""Trains a head of its own for the target class; all else stays as it is, to the bit."""

POLICIES: dict[str, frozenset[str]] = {
    TARGET_BRANCH: frozenset(PARTS) - {"branch"},
    "none": frozenset(),
    "backbone": frozenset({"backbone"}),
    "all-but-heads": frozenset({"backbone", "neck"}),
}


def frozen_parts(policy: str) -> frozenset[str]:
    """The parts (`PARTS`) that a policy freezes. Raises ConfigError on an unknown name.

    >>> sorted(frozen_parts("all-but-heads"))
    ['backbone', 'neck']
    """
    try:
        return POLICIES[policy]
    except KeyError:
        raise ConfigError(
            f"There is no freeze policy {policy!r}; choose one of: {', '.join(POLICIES)}."
        ) from None
