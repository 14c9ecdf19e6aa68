"""Short trials of how deep a branch begins."""

from types import SimpleNamespace

import numpy as np
import pytest

from classlift.data.examples import example_files
from classlift.settings.recipe import Recipe
from classlift.training import trials
from classlift.training.checkpoints import Checkpoints
from classlift.training.depths import TRIALS, Depth, Trials
from classlift.training.input import training_batches
from classlift.training.run import _try_depths, prepare
from classlift.training.trials import Judge, depths_of, find_depth, try_depths
from tests.classlift.conftest import DEMO_MODEL

HEAD, NECK, IMAGE = "target-branch", "target-branch+neck", "target-branch+image"


@pytest.mark.unit
@pytest.mark.parametrize(
    ("max_inference", "deeper", "blocks"),
    [
        (1.5, ["target-branch+block:14"], range(2, 20)),  # the first that costs no more
        (1.44, ["target-branch+block:16"], (3, 9, 16)),  # some backbones can be cut at few
        (1.3, [NECK], range(2, 20)),
        (1.2, [], range(2, 20)),
        (2.0, ["target-branch+block:11", IMAGE], range(2, 20)),  # all are allowed
        (1.5, [NECK], ()),
    ],
)
def test_the_deepest_that_fits_is_tried_beside_the_head(monkeypatch, max_inference, deeper, blocks):
    """A block costs 0.03; neck and head 0.2 and 0.1 of the champion's work."""
    costs = {HEAD: 110, NECK: 130, IMAGE: 200}

    def operations(policy):
        number = policy.rpartition("block:")[2]
        return costs.get(policy) or (130 + 3 * (20 - int(number)) if number.isdigit() else 100)

    monkeypatch.setattr(trials, "operations", lambda detector: operations(detector.policy))
    champion = SimpleNamespace(policy="", branch_blocks=tuple(blocks))
    recipe = Recipe(max_inference=max_inference)
    found = depths_of(lambda own: SimpleNamespace(policy=own.freeze_policy), champion, recipe)
    assert list(found) == [HEAD, *deeper]
    assert {policy: cost for policy, (_, cost) in found.items()} == {
        policy: operations(policy) / 100 for policy in found
    }


@pytest.mark.pipeline
def test_depths_learn_from_the_same_batches_within_their_steps(detector, examples, train_files):
    recipe = Recipe(steps=15, trials=1 / 3, batch_size=2)
    drawn = []

    def batches(start):
        given = training_batches(train_files, detector.frame, detector.label_map, recipe, start)
        for batch in given:
            drawn.append(batch)
            yield batch

    depths = {
        policy: (prepare("od_api", DEMO_MODEL, ["9"], Recipe(policy))[0], cost)
        for policy, cost in ((HEAD, 1.1), (NECK, 1.3))
    }
    before = {p: values(learner) for p, (learner, _) in depths.items()}
    judge = Judge(example_files(examples, "eval"), ["9"], {})
    found = try_depths(depths, batches, recipe, judge)
    assert [depth.policy for depth in found.tried] == [HEAD, NECK]
    assert found.chosen in depths
    assert found.images == 16
    assert [depth.steps for depth in found.tried] == [len(drawn)] * 2 == [2, 2]
    for policy, (learner, _) in depths.items():
        moved = {n for n, v in values(learner).items() if not np.array_equal(v, before[policy][n])}
        assert moved
        assert all(name.startswith("branch/9/") for name in moved)


def values(detector):
    return {name: variable.numpy() for name, variable in detector.variables().items()}


@pytest.mark.unit
def test_a_run_that_was_killed_after_its_trials_does_not_try_again(tmp_path):
    found = Trials(NECK, 1.5, 16, (Depth(HEAD, 1.1, 30, 0.4), Depth(NECK, 1.3, 30, 0.5)))
    task = SimpleNamespace(recipe=Recipe())  # of no champion that could be loaded
    for kept in (found, None):
        checkpoints = Checkpoints(tmp_path, {"champion": str(kept)})
        checkpoints.save(0, {}, {TRIALS: kept.to_json()} if kept else {})
        assert _try_depths(task, None, None, checkpoints) == kept


@pytest.mark.unit
@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(trials=0),  # the freeze policy is the user's
        Recipe(steps=100),
        Recipe("all-but-heads"),  # no class of the model can have a branch
    ],
)
def test_nothing_is_tried_where_there_is_nothing_to_choose(tmp_path, recipe):
    task = SimpleNamespace(recipe=recipe)
    assert _try_depths(task, None, None, Checkpoints(tmp_path, {})) is None
    alone = SimpleNamespace(can_branch_neck=False)
    assert find_depth(None, alone, None, Recipe(), None) is None
