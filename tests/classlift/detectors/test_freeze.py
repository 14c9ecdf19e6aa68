"""Freeze policies read names alone, so that they mean the same for every backend."""

import pytest

from classlift.detectors.freeze import blocks, frozen_names, frozen_prefix
from classlift.errors import ConfigError, ModelError
from classlift.settings.freeze import branch_parts, check_policy, is_deeper

pytestmark = pytest.mark.unit

NAMES = [
    "backbone/Conv1/kernel",
    "backbone/bn_Conv1/gamma",
    "backbone/bn_Conv1/moving_mean",
    "backbone/block_1_expand/kernel",
    "backbone/block_1_project/kernel",
    "backbone/block_1_project_BN/gamma",
    "neck/FeatureMaps/projection_1/kernel",
    "head/BoxPredictor/kernel",
    "class-head/ClassPredictor/kernel",
]
BRANCHES = [
    "branch/8/neck/FeatureMaps/projection_1/kernel",
    "branch/8/head/BoxPredictor/kernel",
    "branch/8/class-head/ClassPredictor/kernel",
    "branch/8/auxiliary/ClassPredictor/kernel",
    "branch/3/head/BoxPredictor/kernel",
]


@pytest.mark.parametrize(
    ("policy", "trained"),
    [
        ("none", NAMES),
        ("backbone", NAMES[6:]),
        ("backbone+neck", NAMES[7:]),
        ("all-but-heads", NAMES[7:]),
        ("all-but-class-head", NAMES[8:]),
        ("first:1", NAMES[3:]),
        ("first:2", NAMES[6:]),
        ("first:3", NAMES[7:]),
        ("regex:^backbone/(Conv1|bn_)", NAMES[3:]),
    ],
)
def test_what_a_policy_leaves_to_train(policy, trained):
    frozen = frozen_names(policy, NAMES)
    assert [name for name in NAMES if name not in frozen] == trained


@pytest.mark.parametrize(
    ("policy", "trained"),
    [("target-branch", BRANCHES[1:4]), ("target-branch+neck", BRANCHES[:4])],
)
def test_a_branch_policy_trains_its_own_branch_alone(policy, trained):
    names = NAMES + BRANCHES
    frozen = frozen_names(policy, names, ["branch/8"])
    assert [name for name in names if name not in frozen] == trained


@pytest.mark.parametrize(
    ("policy", "branches", "prefix"),
    [
        ("none", [], None),
        ("first:1", [], None),
        ("backbone", [], "backbone"),
        ("first:2", [], "backbone"),
        ("backbone+neck", [], "neck"),
        ("all-but-class-head", [], "neck"),
        ("target-branch+neck", ["branch/8"], "backbone"),
        ("target-branch", ["branch/8"], "neck"),  # its neck is there, and frozen
        ("target-branch", ["branch/3"], "neck"),  # the common neck
        ("target-branch", ["branch/3", "branch/5"], "neck"),
        ("target-branch", ["branch/3", "branch/8"], "backbone"),  # each passes through its own
    ],
)
def test_up_to_where_all_is_frozen(policy, branches, prefix):
    names = NAMES + (BRANCHES if branches else [])
    assert frozen_prefix(names, frozen_names(policy, names, branches), branches) == prefix


DEEP = [
    "branch/8/backbone/block_1_project/kernel",
    "branch/8/neck/FeatureMaps/projection_1/kernel",
    "branch/8/class-head/ClassPredictor/kernel",
]


@pytest.mark.parametrize("policy", ["target-branch+block:3", "target-branch+image"])
def test_a_branch_from_before_the_neck_trains_all_that_is_its_own(policy):
    names = NAMES + DEEP
    frozen = frozen_names(policy, names, ["branch/8"])
    assert [name for name in names if name not in frozen] == DEEP
    assert frozen_prefix(names, frozen, ["branch/8"]) == "backbone"  # the common one


def test_branches_that_leave_the_backbone_at_different_places_share_no_features():
    names = NAMES + DEEP + ["branch/3/class-head/ClassPredictor/kernel"]
    frozen = frozen_names("target-branch+neck", names, ["branch/3", "branch/8"])
    assert frozen_prefix(names, frozen, ["branch/3", "branch/8"]) is None


def test_which_branch_begins_nearer_to_the_image():
    by_depth = [
        "none",
        "target-branch",
        "target-branch+neck",
        "target-branch+block:12",
        "target-branch+block:3",
        "target-branch+image",
    ]
    parts = [branch_parts(policy) for policy in by_depth]
    found = [[is_deeper(one, other) for other in parts] for one in parts]
    assert found == [[j < i for j in range(len(parts))] for i in range(len(parts))]


def test_residual_blocks_of_the_zoo():
    names = [
        "backbone/conv1_conv/kernel",
        "backbone/conv1_bn/gamma",
        "backbone/conv2_block1_1_conv/kernel",
        "backbone/conv2_block1_2_conv/kernel",
        "backbone/conv2_block2_1_conv/kernel",
        "backbone/stack_0/block_0/expand_conv2d/kernel",
        "backbone/stack_0/block_1/expand_conv2d/kernel",
        "backbone/expanded_conv_depthwise/depthwise_kernel",
        "backbone/expanded_conv_project/kernel",
    ]
    assert [len(block) for block in blocks(names)] == [2, 2, 1, 1, 1, 2]


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        ("first:99", "the model has 5 blocks"),
        ("first:5", "leaves nothing to train"),
        ("regex:.", "leaves nothing to train"),
        ("regex:nowhere", "no variable has such a name; the names are like backbone/Conv1/kernel"),
    ],
)
def test_a_policy_that_does_not_fit_the_model_is_refused(policy, sentence):
    with pytest.raises(ModelError, match=sentence):
        frozen_names(policy, NAMES)


@pytest.mark.parametrize(
    "policy",
    [
        "",
        "first:0",
        "first:x",
        "target-branch+block:0",
        "target-branch+backbone",
        "none\n",
        "regex:",
        "all",
        "regex:[",
    ],
)
def test_words_that_are_no_policy_are_refused(policy):
    with pytest.raises(ConfigError):
        check_policy(policy)
