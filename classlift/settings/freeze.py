"""The words of the freeze policies: what of a detector training leaves as it is.

`classlift.detectors.freeze` says which variables each of them means.
"""

import math
import re

from classlift import patterns
from classlift.errors import ConfigError
from classlift.patterns import require_pattern

TARGET_BRANCH, TARGET_BRANCH_NECK = "target-branch", "target-branch+neck"
TARGET_BRANCH_IMAGE = "target-branch+image"

BLOCK = "block:"
"""What the part of a branch is called that is the backbone from a block on: `block:3`."""

TARGET_BRANCH_BLOCK = f"{TARGET_BRANCH}+{BLOCK}"
"""What a policy begins with whose rest is the number of the first block of a branch."""

BRANCH_PARTS = {
    TARGET_BRANCH: frozenset({"head", "class-head"}),
    TARGET_BRANCH_NECK: frozenset({"neck", "head", "class-head"}),
    TARGET_BRANCH_IMAGE: frozenset({"backbone", "neck", "head", "class-head"}),
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

FORMS = (f"{TARGET_BRANCH_BLOCK}N", "first:N", "regex:...")
"""What a policy may look like that has no name."""

_NAMES = "|".join(POLICIES).replace("+", r"\+")
_NUMBER = "[1-9][0-9]{0,3}"
_BLOCKS = TARGET_BRANCH_BLOCK.replace("+", r"\+")
PATTERN = rf"^(?:{_NAMES}|(?:first:|{_BLOCKS}){_NUMBER}|regex:.+)$(?!\n)"
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
            f"{TARGET_BRANCH_BLOCK}N (from that block of the backbone on), first:N (blocks), "
            "regex:... (names of variables)."
        )
    if policy.startswith(REGEX):
        require_pattern(policy.removeprefix(REGEX), "freeze_policy")


def branch_parts(policy: str) -> frozenset[str]:
    """The parts that a policy gives the target class for itself.

    Args:
        policy: as `check_policy` takes it.

    Returns:
        Of `BRANCH_PARTS`, and `block:N` for the backbone from a block on; empty for a policy
            without a branch.

    >>> sorted(branch_parts("target-branch+block:3"))
    ['block:3', 'class-head', 'head', 'neck']

    """
    if policy.startswith(TARGET_BRANCH_BLOCK):
        return BRANCH_PARTS[TARGET_BRANCH_NECK] | {policy.removeprefix(f"{TARGET_BRANCH}+")}
    return BRANCH_PARTS.get(policy, frozenset())


def is_part(word: str) -> bool:
    """Whether a word is one of those of `branch_parts`."""
    return word in BRANCH_PARTS[TARGET_BRANCH_IMAGE] or bool(re.fullmatch(BLOCK + _NUMBER, word))


def first_block(parts: frozenset[str]) -> int | None:
    """The block of the backbone with which a branch begins.

    Args:
        parts: of the branch, as `branch_parts` has them.

    Returns:
        From 1; 0 for a branch from the image on, and None for one after the backbone.

    """
    numbers = [int(part.removeprefix(BLOCK)) for part in parts if part.startswith(BLOCK)]
    return 0 if "backbone" in parts else next(iter(numbers), None)


def is_deeper(parts: frozenset[str], others: frozenset[str]) -> bool:
    """Whether a branch with some parts begins nearer to the image than one with others.

    Args:
        parts: as `branch_parts` has them; empty for no branch.
        others: likewise.

    Returns:
        True where it has layers that the other one has not.

    >>> is_deeper(branch_parts("target-branch+block:3"), branch_parts("target-branch+block:5"))
    True

    """

    def layers(of: frozenset[str]) -> tuple[float, int]:
        block = first_block(of)
        return (-math.inf if block is None else -block, len(of))

    return layers(parts) > layers(others)
