"""The words of the freeze policies: what of a detector training leaves as it is.

`classlift.detectors.freeze` says which variables each of them means.
"""

import re

from classlift import patterns
from classlift.errors import ConfigError
from classlift.patterns import require_pattern

TARGET_BRANCH, TARGET_BRANCH_NECK = "target-branch", "target-branch+neck"

BRANCH_PARTS = {
    TARGET_BRANCH: frozenset({"head", "class-head"}),
    TARGET_BRANCH_NECK: frozenset({"neck", "head", "class-head"}),
}
"""What these policies give the target class for itself, and train; all else stays, to the bit."""

FROZEN_PARTS: dict[str, frozenset[str]] = {
    "none": frozenset(),
    "backbone": frozenset({"backbone"}),
    "backbone+neck": frozenset({"backbone", "neck"}),
    "all-but-heads": frozenset({"backbone", "neck"}),
    "all-but-class-head": frozenset({"backbone", "neck", "head"}),
}
"""Whole parts that a policy freezes."""

POLICIES = (*BRANCH_PARTS, *FROZEN_PARTS)
"""Policies by name; beside them stand `FORMS`."""

FORMS = ("first:N", "regex:...")
"""What a policy may look like that has no name."""

_NAMES = "|".join(POLICIES).replace("+", r"\+")
PATTERN = rf"^(?:{_NAMES}|first:[1-9][0-9]{{0,3}}|regex:.+)$(?!\n)"
"""The pattern of a policy's words, as a JSON schema takes it: here and in a browser."""

REGEX = "regex:"
"""What a policy begins with whose rest is a pattern of the names of variables."""

MAX_LENGTH = len(REGEX) + patterns.MAX_LENGTH
"""Characters of a policy."""


def check_policy(policy: str) -> None:
    """Raises ConfigError for words that are no policy."""
    if not re.match(PATTERN, policy):
        raise ConfigError(
            f"There is no freeze policy {policy[:80]!r}; choose one of: {', '.join(POLICIES)}, "
            "first:N (blocks), regex:... (names of variables)."
        )
    if policy.startswith(REGEX):
        require_pattern(policy.removeprefix(REGEX), "freeze_policy")
