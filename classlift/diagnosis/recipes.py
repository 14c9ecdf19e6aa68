"""From the likeliest cause to the recipe: the table of rules, each with its reason.

What training can't mend is not trained against: then the rule says what to do instead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from classlift.diagnosis.causes import ARCHITECTURE, FEW, IMBALANCE, LABELS, OVERLAP, Cause
from classlift.settings.freeze import TARGET_BRANCH, TARGET_BRANCH_NECK, branch_parts, first_block
from classlift.settings.recipe import Recipe

WITHOUT_BRANCH = "all-but-heads"
"""Where there can be no branch: what least disturbs the other classes, and still learns."""

MAX_CLASS_WEIGHT = 3.0
"""Beyond this, the prototype's target overshot: its precision fell to 0.5."""

HOPELESS = 0.10
"""Recall at stake, from which a cause that training can't mend stops the run."""


@dataclass(frozen=True)
class Rule:
    """What follows from a cause.

    Attributes:
        branch: the freeze policy, where a class can have a branch.
        reason: why, in words.
        advice: what the recipe can't do, and the team can.
        hopeless: whether training can't help.

    """

    branch: str
    reason: str
    advice: str
    hopeless: bool = False


RULES: Mapping[str, Rule] = {
    FEW: Rule(
        TARGET_BRANCH,
        "Few examples: little is trained, on frozen features, so that little can be overfitted.",
        "Label more of the class, or set copy_paste to 0.5: its objects are pasted into more "
        "images.",
    ),
    IMBALANCE: Rule(
        TARGET_BRANCH,
        "Imbalance: a head that answers for this class alone has no other classes to be drowned "
        "by.",
        "Rebalancing is on; a target_boost of 2 shows the class more often still.",
    ),
    LABELS: Rule(
        TARGET_BRANCH,
        "Label quality: training would learn what is wrong in the labels.",
        "Look at the labels on the relabel page, mend them, and run again.",
        hopeless=True,
    ),
    OVERLAP: Rule(
        TARGET_BRANCH_NECK,
        "Feature overlap: the frozen features do not tell the class from its rival, so it gets a "
        "neck of its own, which learns others.",
        "If the two can't be told apart by eye, join them; or freeze_policy: none, which may learn "
        "more and may cost the other classes.",
    ),
    ARCHITECTURE: Rule(
        TARGET_BRANCH,
        "Architecture: no training finds what the detector can't see.",
        "Use a model with larger images or smaller anchors, or cut images into tiles.",
        hopeless=True,
    ),
}
"""By the cause that is ranked first."""


NEW = Rule(
    TARGET_BRANCH_NECK,
    "New class: the champion's features never had to tell it from others, so it gets a neck of its "
    "own, which learns to.",
    "Label more of the class: all that is known of it are these objects.",
)
"""For a class that the champion does not know, whatever its causes."""

UNKNOWN = Rule(
    TARGET_BRANCH,
    "No cause stands out: the class is hardly weaker than the others, or for another reason.",
    "Look at the pictures of what is missed.",
)

SOMETHING = 0.02
"""Recall at stake, below which a cause explains nothing."""


@dataclass(frozen=True)
class Choice:
    """The recipe and the reason for each of its parts; stop: why not to train, or None."""

    recipe: Recipe
    reasons: list[str]
    advice: str
    stop: str | None


def choose_recipe(
    causes: Sequence[Cause],
    target: str,
    boxes: Mapping[str, int],
    freeze_policy: str | None = None,
    can_branch: bool = True,
    can_branch_neck: bool = True,
    is_new: bool = False,
    is_of_depth: bool = False,
) -> Choice:
    """The recipe that follows from the causes.

    Args:
        causes: the likeliest first.
        target: the weak class.
        boxes: of the rebalanced train split by class.
        freeze_policy: what the user asks for.
        can_branch: whether a class of the model can have a head of its own.
        can_branch_neck: whether such a head can have a neck of its own before it.
        is_new: whether the model does not know the target.
        is_of_depth: whether training chooses how deep its branch begins.

    Returns:
        The recipe with its reasons, and why training should stop, where it should.

    """
    first = causes[0]
    rule = RULES[first.name] if first.score >= SOMETHING else UNKNOWN
    if is_new:
        rule = NEW
    stop = None
    if rule.hopeless and first.score >= HOPELESS:
        stop = (
            f"Training is not likely to help class {target}. {first.sentence} {rule.advice} "
            "To train all the same, set train_anyway."
        )
    branch = rule.branch if can_branch_neck else TARGET_BRANCH
    policy = freeze_policy or (branch if can_branch else WITHOUT_BRANCH)
    if freeze_policy:
        reasons = [f"Freeze policy {policy}, as the user says."]
    elif is_of_depth:
        reasons = [
            "How deep its layers begin, eval decides: a head of its own and the deepest branch "
            "within max_inference are both trained, and the better is kept. By the "
            f"causes alone it would be {policy}. {rule.reason}"
        ]
    elif can_branch and branch == rule.branch:
        reasons = [rule.reason]
    elif can_branch:
        reasons = [
            f"Freeze policy {policy}: a neck of its own would help the class more, and in this "
            "model there can be none."
        ]
    else:
        reasons = [f"Freeze policy {policy}: in this model, no class can have a head of its own."]
    weights: dict[str, float] = {}
    parts = branch_parts(policy)
    if parts:
        block = first_block(parts)
        own = "a neck and a head" if "neck" in parts else "a head"
        if block is not None:
            own = f"the backbone from block {block} on, a neck and a head"
        if block == 0:
            own = "a whole network"
        if is_of_depth:
            own = "layers"
        reasons.append(
            f"Class {target} gets {own} of its own, started from the champion's"
            + (", but for the scores, which start at zero" if is_new else "")
            + ": it can learn freely, for no other class can change by a bit."
        )
        reasons.append("No class weight: in a head of its own, no other class drowns it.")
    else:
        share = boxes.get(target, 0) / max(sum(boxes.values()), 1)
        weight = min(MAX_CLASS_WEIGHT, max(1.0, 1 / max(share * len(boxes), 1e-6)))
        if weight > 1:
            weights = {target: round(weight, 3)}
            reasons.append(
                f"Weight class {target} by {weight:.1f}: after rebalancing it still has less than "
                "an even share of the boxes."
            )
        else:
            reasons.append(
                f"No class weight: rebalancing already gives class {target} an even share, and a "
                "weight on top would overshoot."
            )
    return Choice(Recipe(policy, weights), reasons, rule.advice, stop)
