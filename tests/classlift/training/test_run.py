"""A head and a deeper branch are trained, eval chooses, and one is exported."""

import logging
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from classlift.detectors.backends import load_detector
from classlift.errors import ModelError
from classlift.gate.run import depths_of
from classlift.settings.recipe import Recipe
from classlift.training import run as run_module
from classlift.training.hooks.curves import Curves
from classlift.training.loop import LossError
from classlift.training.run import _Trained, run

HEAD, NECK = "target-branch", "target-branch+neck"
COSTS = {HEAD: 1.13, NECK: 1.34}


class KilledError(BaseException):
    """Stands for the end of the process."""


@pytest.mark.pipeline
def test_killed_at_the_second_depth_the_first_is_not_trained_again(task, monkeypatch, caplog):
    """And what is exported is what eval says of each class, with the rest of the model as it was:
    here 9 keeps the deeper branch and 5 the head.
    """
    caplog.set_level(logging.INFO, "classlift")
    monkeypatch.setattr(run_module, "make_reproducible", tf.keras.utils.set_random_seed)
    monkeypatch.setattr(run_module, "_depths", lambda *_: COSTS)  # counting them takes long
    ap50 = {HEAD: {"9": 0.5, "5": 0.5}, NECK: {"9": 0.6, "5": 0.4}}
    monkeypatch.setattr(_Trained, "ap50", property(lambda one: ap50[one.recipe.freeze_policy]))
    recipe = task.recipe.override({"verifier": False, "cached_batches": 1})
    task = replace(task, targets=("9", "5"), recipe=recipe)
    made, trainings = [], {}

    def before_training(self, training):
        made.append((training.recipe.freeze_policy, training.done, training.recipe.steps))
        trainings[training.recipe.freeze_policy] = training
        if len(made) == 2:
            raise KilledError

    monkeypatch.setattr(Curves, "before_training", before_training)
    with pytest.raises(KilledError):
        run(task)
    assert not task.challenger.exists()
    bundle = run(task)
    assert made == [(HEAD, 0, 1), (NECK, 0, 2), (HEAD, 1, 1), (NECK, 0, 2)]
    learned, started = trainings[HEAD].values(), trainings[NECK].start
    assert set(learned) < set(started)
    assert all(np.array_equal(value, started[name]) for name, value in learned.items())
    depths = [f"depth 1 of 2: {HEAD}", f"depth 2 of 2: {NECK}"]
    assert [line for line in caplog.messages if line.startswith("depth ")] == 2 * depths
    views = [line.partition(";")[2] for line in caplog.messages if " views cached" in line]
    assert views == ["", "", *2 * [" 1 batches of them from an earlier run"]]
    found = depths_of(bundle)
    assert {depth.policy: depth.cost for depth in found.trained} == COSTS
    assert found.chosen == {"9": NECK, "5": HEAD}
    assert found.sentences()[0] in caplog.messages
    said = bundle.provenance().recipe
    assert (said["freeze_policy"], said["steps"]) == (NECK, 2)
    assert not list(task.work.rglob("*.npz"))
    challenger = load_detector("od_api", bundle.entry).variables()
    assert "branch/9/neck" in " ".join(challenger)
    assert "branch/5/neck" not in " ".join(challenger)
    for branch, policy in (("branch/9/", NECK), ("branch/5/", HEAD)):
        kept = {n: v for n, v in trainings[policy].values().items() if n.startswith(branch)}
        assert kept
        assert all(np.array_equal(value, challenger[name]) for name, value in kept.items())


@pytest.mark.unit
@pytest.mark.parametrize(
    ("recipe", "can_branch_neck"),
    [
        (Recipe(max_inference=1), True),  # the freeze policy is the user's, or the causes'
        (Recipe("all-but-heads"), True),  # no class of the model can have a branch
        (Recipe(), False),  # it can begin at one place alone
    ],
)
def test_one_depth_is_trained_where_there_is_nothing_to_choose(recipe, can_branch_neck):
    abilities = SimpleNamespace(can_branch_neck=can_branch_neck)
    champion = SimpleNamespace(abilities=lambda: abilities)
    detector = None  # nothing that could be counted
    assert run_module._depths(SimpleNamespace(recipe=recipe), champion, detector) == {}


@pytest.mark.pipeline
@pytest.mark.parametrize(("policies", "steps"), [([], [7]), ([HEAD], [7]), ([HEAD, NECK], [4, 7])])
def test_a_head_takes_half_of_the_steps_where_a_deeper_branch_goes_on_from_it(
    task, policies, steps
):
    asked = replace(task, recipe=task.recipe.override({"steps": 7}))
    found = run_module._of_each(asked, policies)
    assert [own.recipe.steps for own in found.values()] == steps
    assert list(found) == (policies or [task.recipe.freeze_policy])


@pytest.mark.unit
def test_what_depths_cost_is_counted_once(tmp_path, monkeypatch):
    """For the same model, code and question; whatever else an earlier run was about."""
    counted = []

    def count(grown, champion, max_inference):
        counted.append(max_inference)
        return {HEAD: 1.1, NECK: max_inference}

    model = SimpleNamespace(drop_branches=lambda labels: None)
    model.twin = lambda: model
    monkeypatch.setattr(run_module, "affordable_depths", count)
    entry = tmp_path / "entry"
    entry.mkdir()
    (entry / "weights").write_bytes(b"1")
    champion = SimpleNamespace(abilities=lambda: SimpleNamespace(can_branch_neck=True), entry=entry)
    task = SimpleNamespace(
        recipe=Recipe(steps=5), work=tmp_path / "work", code_version="1", backend="b", targets=["8"]
    )

    def costs(**changes):
        changed = SimpleNamespace(**{**vars(task), **changes})
        found = run_module._depths(changed, champion, model)
        assert list(found.items()) == [(HEAD, 1.1), (NECK, changed.recipe.max_inference)]
        return len(counted)

    assert (costs(), costs(), costs(recipe=Recipe(steps=6))) == (1, 1, 1)
    assert costs(recipe=Recipe(max_inference=1.3)) == 2
    assert costs(targets=["8", "3"]) == 3
    assert costs(code_version="2") == 4
    assert (costs(), costs()) == (5, 5)
    (entry / "weights").write_bytes(b"2")
    assert (costs(), costs()) == (6, 6)
    (file,) = (tmp_path / "work" / "costs").glob("*.json")
    file.write_bytes(file.read_bytes().replace(b"1.1", b"1.2"))
    assert (costs(), costs()) == (7, 7)


@pytest.mark.unit
@pytest.mark.parametrize(("lost", "kept"), [([NECK], [HEAD]), ([HEAD], [NECK]), ([], [HEAD, NECK])])
def test_a_depth_whose_losses_are_no_numbers_is_left_out(monkeypatch, caplog, lost, kept):
    trained = _train_each_without(lost, monkeypatch)
    assert list(trained) == kept
    left_out = [line for line in caplog.messages if "left out" in line]
    assert left_out == [f"{policy} is left out. The class loss is nan." for policy in lost]


@pytest.mark.unit
@pytest.mark.parametrize("policies", [[HEAD], [HEAD, NECK]])
def test_where_all_are_lost_training_has_failed(monkeypatch, policies):
    with pytest.raises(ModelError, match="loss is nan"):
        _train_each_without(policies, monkeypatch, policies)


def _train_each_without(lost, monkeypatch, policies=(HEAD, NECK)):
    """Trains nothing, and loses some."""

    def train(policy, *_):
        if policy in lost:
            raise LossError("The class loss is nan.")
        return SimpleNamespace(detector=policy)

    monkeypatch.setattr(run_module, "_train", train)
    return run_module._train_each(dict(zip(policies, policies, strict=True)), None)
