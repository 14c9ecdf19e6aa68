"""Freeze policies: which parts of a detector training leaves as they are.

A new policy is a line in `POLICIES`.
"""

from components.detectors.detector import PARTS
from components.errors import ConfigError

TARGET_BRANCH = "target-branch"
"""Trains a head of its own for the target class; all else stays as it is, to the bit."""

POLICIES: dict[str, frozenset[str]] = {
    TARGET_BRANCH: frozenset(PARTS) - {"branch"},
    "none": frozenset(),
    "backbone": frozenset({"backbone"}),
    "all-but-heads": frozenset({"backbone", "neck"}),
}


def frozen_parts(policy: str) -> frozenset[str]:
    """The parts (`detector.PARTS`) that a policy freezes. Raises ConfigError on an unknown name.

    >>> sorted(frozen_parts("all-but-heads"))
    ['backbone', 'neck']
    """
    try:
        return POLICIES[policy]
    except KeyError:
        raise ConfigError(
            f"There is no freeze policy {policy!r}; choose one of: {', '.join(POLICIES)}."
        ) from None
