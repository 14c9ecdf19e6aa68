"""Why is the class weak? What moving its threshold gives, what the data hold, and the recipe.

The rules that turn evidence into a recipe are in `choose_recipe`, each with its reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.detectors.freeze import BRANCH_PARTS, TARGET_BRANCH
from components.detectors.recipe import Recipe
from components.metrics.curves import operating_points, recall_at
from components.metrics.matching import Matches

BRANCH_WEIGHT = 3.0
"""In the demo, recall at matched precision 0.72 without and 0.78 with it."""

WITHOUT_BRANCH = "all-but-heads"
"""Where there can be no branch: what least disturbs the other classes, and still learns."""

MAX_CLASS_WEIGHT = 3.0
"""Beyond this, the prototype's target overshot: its precision fell to 0.5."""


@dataclass(frozen=True)
class Evidence:
    """What the diagnosis rests on; recalls are of the target class on eval, by the champion.

    deployed: recall at the threshold in production; recalibrated: at the lowest threshold with
    the precision asked for. share: the target's part of all boxes in the rebalanced train split.
    """

    target: str
    deployed: float
    recalibrated: float
    others: float
    ap50: float
    boxes_before: int
    boxes_after: int
    share: float
    classes: int


def gather(
    matches: Matches,
    target: str,
    precision: float,
    deployed_points: Mapping[str, float],
    rebalancing: Mapping[str, Any],
) -> Evidence:
    """Evidence from the champion's matches on eval and the summary of rebalancing."""
    recalibrated = recall_at(matches, operating_points(matches, precision))
    others = [
        recall for label, recall in recalibrated.items() if label != target and recall == recall
    ]
    after = rebalancing["boxes_after"]
    return Evidence(
        target=target,
        deployed=recall_at(matches, deployed_points)[target],
        recalibrated=recalibrated[target],
        others=sum(others) / max(len(others), 1),
        ap50=matches.ap50[target],
        boxes_before=rebalancing["boxes_before"].get(target, 0),
        boxes_after=after.get(target, 0),
        share=after.get(target, 0) / max(sum(after.values()), 1),
        classes=len(matches.labels),
    )


def sentences(evidence: Evidence, precision: float) -> list[str]:
    """The evidence in words."""
    e = evidence
    return [
        f"On eval the champion finds {e.deployed:.0%} of class {e.target} at its threshold in "
        f"production, and {e.recalibrated:.0%} at the lowest threshold with precision "
        f"{precision:.2f}: so much recalibration alone would give.",
        f"The other classes are at {e.others:.0%} on average; AP50 of class {e.target} is "
        f"{e.ap50:.2f}.",
        f"The train split has {e.boxes_before} boxes of class {e.target}, {e.boxes_after} after "
        f"rebalancing: {e.share:.0%} of all boxes, where an even share is {1 / e.classes:.0%}.",
    ]


def choose_recipe(
    evidence: Evidence, freeze_policy: str | None = None, can_branch: bool = True
) -> tuple[Recipe, list[str]]:
    """The recipe that follows from the evidence, and the reason for each part that does.

    freeze_policy: what the user asks for instead of the target's own branch; can_branch: whether
    the model can have one.
    """
    asked = freeze_policy
    freeze_policy = asked or (TARGET_BRANCH if can_branch else WITHOUT_BRANCH)
    if freeze_policy in BRANCH_PARTS:
        own = "A neck and a head" if "neck" in BRANCH_PARTS[freeze_policy] else "A head"
        return Recipe(freeze_policy, {evidence.target: BRANCH_WEIGHT}), [
            f"{own} of its own for class {evidence.target}, started from the champion's: it "
            "can learn freely, for no other class can change by a bit.",
            f"Weight its boxes by {BRANCH_WEIGHT:g}: in a branch they stand against the background "
            "alone.",
        ]
    reasons = [f"Freeze policy {freeze_policy}, as the user says."]
    if asked is None:
        reasons = [
            f"Freeze policy {freeze_policy}: in this model, no class can have a head of its own."
        ]
    even = 1 / evidence.classes
    weight = min(MAX_CLASS_WEIGHT, max(1.0, even / max(evidence.share, 1e-6)))
    if weight > 1:
        reasons.append(
            f"Weight class {evidence.target} by {weight:.1f}: after rebalancing it still has less "
            "than an even share of the boxes."
        )
    else:
        reasons.append(
            f"No class weight: rebalancing already gives class {evidence.target} an even share, "
            "and a weight on top would overshoot."
        )
    weights = {evidence.target: round(weight, 3)} if weight > 1 else {}
    return Recipe(freeze_policy=freeze_policy, class_weights=weights), reasons
