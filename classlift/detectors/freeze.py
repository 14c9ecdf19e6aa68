"""Freeze policies: which variables of a detector training leaves as they are.

Policies read names alone, `part/layer/.../variable`, so that they mean the same for every backend.
The words of the policies are those of `classlift.settings.freeze`.
"""

import re
from collections.abc import Sequence

from classlift.errors import ModelError
from classlift.patterns import searching
from classlift.settings.freeze import BLOCK, FROZEN_PARTS, REGEX, branch_parts, check_policy

PARTS = ("backbone", "neck", "head", "class-head", "branch")
"""The parts of a detector, in the order in which an image passes through them.

`class-head` is the last layer of the head, which scores the classes. A branch is a class's own copy
of that part of the head that scores, or of neck and head and more; most models have none.
"""

AUXILIARY = "auxiliary"
"""Those of a branch's variables that training alone has; they are not saved."""

_BLOCK = re.compile(r".*?(?:block_?\d+|expanded_conv)")
_KERNEL = re.compile(r".*(?:kernel|weights)")


def frozen_names(policy: str, names: Sequence[str], branches: Sequence[str] = ()) -> frozenset[str]:
    """The names of the variables that a policy freezes.

    Args:
        policy: as `check_policy` takes it.
        names: of all variables, in the order in which an image passes them.
        branches: the prefixes of the names of the branches to train, for the policies that train
            some.

    Returns:
        Those of `names` that stay as they are.

    Raises:
        ConfigError: there is no such policy.
        ModelError: it fits this model badly: more blocks than there are, a pattern that matches
            nothing, or nothing left to train.

    >>> sorted(frozen_names("backbone", ["backbone/conv/kernel", "head/box/kernel"]))
    ['backbone/conv/kernel']

    """
    check_policy(policy)
    if branch_parts(policy):
        own = {"backbone" if part.startswith(BLOCK) else part for part in branch_parts(policy)}
        parts = (*own, AUXILIARY)
        trained = tuple(f"{branch}/{part}/" for branch in branches for part in parts)
        frozen = {name for name in names if not name.startswith(trained)}
    elif policy in FROZEN_PARTS:
        frozen = {name for name in names if part_of(name) in FROZEN_PARTS[policy]}
    elif policy.startswith("first:"):
        found, count = blocks(names), int(policy.removeprefix("first:"))
        if count > len(found):
            raise ModelError(f"Freeze policy {policy}: the model has {len(found)} blocks.")
        frozen = {name for block in found[:count] for name in block}
    else:
        with searching(policy.removeprefix(REGEX), "freeze_policy") as search:
            found_in = search.find(names)
        frozen = {name for name, text in zip(names, found_in, strict=True) if text is not None}
        if not frozen:
            raise ModelError(
                f"Freeze policy {policy}: no variable has such a name; the names are like "
                f"{', '.join(names[:: max(len(names) // 4, 1)][:4])}."
            )
    if len(frozen) == len(names):
        raise ModelError(f"Freeze policy {policy}: it leaves nothing to train.")
    return frozenset(frozen)


def part_of(name: str) -> str:
    """The part that a variable belongs to.

    Args:
        name: of the variable.

    Returns:
        What the name begins with.

    >>> part_of("class-head/ClassPredictor/bias")
    'class-head'

    """
    return name.partition("/")[0]


def is_auxiliary(name: str) -> bool:
    """Whether training alone has a variable.

    Args:
        name: of the variable.

    Returns:
        True for those of a branch's `AUXILIARY` layers.

    >>> is_auxiliary("branch/8/auxiliary/ClassPredictor/bias")
    True
    >>> is_auxiliary("branch/auxiliary/head/ClassPredictor/bias")  # of a class of that name
    False

    """
    return part_of(name) == "branch" and name.split("/")[2] == AUXILIARY


def learner_of(name: str) -> str:
    """The branch that a variable belongs to.

    Args:
        name: of the variable.

    Returns:
        The prefix of the names of the branch; empty for a variable of none.

    >>> learner_of("branch/8/class-head/ClassPredictor/bias")
    'branch/8'

    """
    return "/".join(name.split("/")[:2]) if part_of(name) == "branch" else ""


def frozen_prefix(
    names: Sequence[str], frozen: frozenset[str], branches: Sequence[str]
) -> str | None:
    """Up to where a model is frozen, from the image on.

    Args:
        names: of all variables.
        frozen: those that a policy freezes.
        branches: the prefixes of the names of the branches to train; one with a neck of its own
            passes through that one, and one with its own part of the backbone leaves the common
            one there.

    Returns:
        The last of `backbone` and `neck` up to which all is frozen, and common to all that is
        trained; None when the backbone trains.

    """
    blocks_of_own = {sum(n.startswith(f"{b}/backbone/") for n in names) for b in branches}
    if len(blocks_of_own) > 1:  # they leave the common backbone at different places
        return None
    own = [f"{branch}/neck/" for branch in branches] or ["neck/"]
    necks = {neck if any(n.startswith(neck) for n in names) else "neck/" for neck in own}
    stages = {"backbone": "backbone/"}
    if len(necks) == 1:
        stages["neck"] = necks.pop()
    found = None
    for stage, prefix in stages.items():
        if not all(name in frozen for name in names if name.startswith(prefix)):
            break
        found = stage
    return found


def blocks(names: Sequence[str]) -> list[list[str]]:
    """The blocks of a model: a convolution with its batch norm, or a whole residual block.

    Args:
        names: of all variables, in the order in which an image passes them.

    Returns:
        The names by block, in the same order.

    >>> blocks(["backbone/conv1/kernel", "backbone/bn1/gamma", "head/box/kernel"])
    [['backbone/conv1/kernel', 'backbone/bn1/gamma'], ['head/box/kernel']]

    """
    found: dict[str, list[str]] = {}
    block_of_layer: dict[str, str] = {}
    current = ""
    for name in names:
        layer, _, variable = name.rpartition("/")
        if layer not in block_of_layer:
            block = _BLOCK.match(layer)
            if block:
                current = block[0]
            elif _KERNEL.match(variable) or not current:
                current = layer  # a layer without a kernel goes with the one before it
            block_of_layer[layer] = current
        found.setdefault(block_of_layer[layer], []).append(name)
    return list(found.values())
