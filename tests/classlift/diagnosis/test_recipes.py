import pytest

from classlift.diagnosis.causes import (
    ARCHITECTURE,
    CAUSES,
    FEW,
    IMBALANCE,
    LABELS,
    OVERLAP,
    Cause,
    LabelFigures,
    SizeFigures,
)
from classlift.diagnosis.recipes import HOPELESS, MAX_CLASS_WEIGHT, RULES, choose_recipe

pytestmark = pytest.mark.unit
NOTHING = SizeFigures()
EVEN = {"car": 50, "scooter": 50}


def causes(first, score=0.3):
    """The named cause first."""
    rest = [Cause(name, 0.0, "", NOTHING) for name in CAUSES if name != first]
    return [Cause(first, score, f"Evidence of {first}.", NOTHING), *rest]


@pytest.mark.parametrize(
    ("cause", "policy", "stops"),
    [
        (FEW, "target-branch", False),
        (IMBALANCE, "target-branch", False),
        (OVERLAP, "target-branch+neck", False),  # frozen features do not tell them apart
        (LABELS, "target-branch", True),  # mend the labels first
        (ARCHITECTURE, "target-branch", True),  # it can't see them
    ],
)
def test_the_table(cause, policy, stops):
    choice = choose_recipe(causes(cause), "scooter", EVEN)
    assert choice.recipe.freeze_policy == policy
    assert choice.recipe.class_weights == {}
    assert choice.reasons[0] == RULES[cause].reason
    assert choice.advice == RULES[cause].advice
    assert bool(choice.stop) == stops
    if choice.stop:
        assert f"Evidence of {cause}." in choice.stop
        assert "train_anyway" in choice.stop


def test_eval_chooses_how_deep_the_branch_begins():
    choice = choose_recipe(causes(OVERLAP), "scooter", EVEN, is_of_depth=True)
    assert choice.recipe.freeze_policy == "target-branch+neck"
    assert "How deep its layers begin, eval decides" in choice.reasons[0]
    assert "By the causes alone it would be target-branch+neck." in choice.reasons[0]
    assert choice.reasons[1].startswith("Class scooter gets layers of its own, started from")


def test_every_cause_has_a_rule():
    assert set(RULES) == set(CAUSES)


def test_what_costs_little_stops_nothing():
    assert choose_recipe(causes(LABELS, HOPELESS / 2), "scooter", EVEN).stop is None


def test_no_cause():
    assert choose_recipe(causes(LABELS, 0.01), "scooter", EVEN).reasons[0].startswith("No cause")


@pytest.mark.parametrize(
    ("boxes", "weights"),
    [
        ({"car": 50, "scooter": 50}, {}),  # an even share needs no weight
        ({"car": 30, "scooter": 70}, {}),  # more than even: a weight would overshoot
        ({"car": 75, "scooter": 25}, {"scooter": 2.0}),  # half an even share
        ({"car": 99, "scooter": 1}, {"scooter": MAX_CLASS_WEIGHT}),  # capped
    ],
)
def test_without_a_branch_the_class_weight_follows_the_share(boxes, weights):
    choice = choose_recipe(causes(IMBALANCE), "scooter", boxes, "backbone")
    assert (choice.recipe.freeze_policy, choice.recipe.class_weights) == ("backbone", weights)
    assert choice.reasons[0] == "Freeze policy backbone, as the user says."


@pytest.mark.parametrize(
    ("policy", "own"),
    [
        ("target-branch", "a head"),
        ("target-branch+neck", "a neck and a head"),
        ("target-branch+block:5", "the backbone from block 5 on, a neck and a head"),
        ("target-branch+image", "a whole network"),
    ],
)
def test_what_a_branch_has_of_its_own_is_said(policy, own):
    choice = choose_recipe(causes(FEW), "scooter", EVEN, freeze_policy=policy)
    assert choice.recipe.freeze_policy == policy
    assert choice.reasons[1].startswith(f"Class scooter gets {own} of its own, started from")


def test_where_no_class_can_have_a_branch():
    choice = choose_recipe(causes(OVERLAP), "scooter", EVEN, can_branch=False)
    assert choice.recipe.freeze_policy == "all-but-heads"
    assert "no class can have a head of its own" in choice.reasons[0]


@pytest.mark.parametrize("is_new", [False, True])
def test_where_a_head_can_have_no_neck(is_new):
    choice = choose_recipe(causes(OVERLAP), "scooter", EVEN, can_branch_neck=False, is_new=is_new)
    assert choice.recipe.freeze_policy == "target-branch"
    assert "in this model there can be none" in choice.reasons[0]
    other = choose_recipe(causes(IMBALANCE), "scooter", EVEN, can_branch_neck=False)
    assert other.reasons == choose_recipe(causes(IMBALANCE), "scooter", EVEN).reasons


def test_a_new_class_gets_a_neck_of_its_own():
    causes = [Cause(LABELS, 0.9, "Doubted.", LabelFigures(3, 1, 0.5, 0.7))]
    choice = choose_recipe(causes, "8", {"8": 10, "1": 90}, is_new=True)
    assert choice.recipe.freeze_policy == "target-branch+neck"
    assert choice.stop is None  # nothing is known yet that could be wrong
    assert "start at zero" in " ".join(choice.reasons)
