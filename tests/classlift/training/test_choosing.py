"""Which weights a training run leaves behind, and what it shows of itself."""

import json
from functools import partial

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from classlift.detectors.examples import example_files
from classlift.detectors.export import Serving
from classlift.settings.freeze import BRANCH_PARTS, TARGET_BRANCH
from classlift.settings.recipe import Recipe
from classlift.training.evaluation import Evaluator
from classlift.training.fit import fit
from classlift.training.hooks.board import Board
from classlift.training.hooks.curves import Curves
from classlift.training.hooks.keep_best import KeepBest
from classlift.training.input import training_batches
from classlift.training.selection import Evaluation
from tests.dags.test_outcomes import of_dags

pytestmark = pytest.mark.pipeline


def branch(detector):
    return {n: v.numpy() for n, v in detector.variables().items() if n.startswith("branch/")}


class Scripted:
    """Evaluates by a list, and remembers the weights it was shown."""

    def __init__(self, detector, recalls, ap50=None):
        self.detector, self.recalls, self.seen = detector, list(recalls), []
        self.ap50 = ap50 or [0.5] * len(self.recalls)

    def __call__(self, step):
        self.seen.append(branch(self.detector))
        number = len(self.seen) - 1
        recalls = {"8": self.recalls[number], "3": 0.9}
        return Evaluation(("8",), recalls, {"8": self.ap50[number]}, step)


def train(detector, files, evaluate, **recipe):
    asked = Recipe(batch_size=4, cached_batches=0, learning_rate=0.01, **recipe)
    batches = partial(training_batches, files, detector.frame, detector.label_map, asked)
    return fit(detector, batches, asked, hooks=[KeepBest(evaluate)])


def same(a, b):
    return all(np.array_equal(a[name], b[name]) for name in a)


def test_the_best_weights_are_kept(branched, train_files):
    evaluate = Scripted(branched, [0.2, 0.5, 0.9, 0.6, 0.8])
    result = train(branched, train_files, evaluate, steps=6, evaluations=3)
    assert (result.steps, result.chosen, result.mixture) == (6, 4, 1.0)
    assert [found["step"] for found in result.judgements] == [2, 4, 6, 4]
    assert same(branch(branched), evaluate.seen[2])
    assert not same(evaluate.seen[2], evaluate.seen[3])


def test_patience_ends_a_training_that_gets_no_better(branched, train_files):
    evaluate = Scripted(branched, [0.2, 0.9, 0.5, 0.5, 0.8])
    result = train(branched, train_files, evaluate, steps=8, evaluations=4, patience=2)
    assert (result.steps, result.chosen) == (6, 2)
    assert same(branch(branched), evaluate.seen[1])


def test_interpolation_keeps_the_best_mixture(branched, train_files):
    evaluate = Scripted(branched, [0.2, 0.7, 0.3, 0.8, 0.75, 0.72, 0.7])
    result = train(branched, train_files, evaluate, steps=2, interpolation=True)
    assert (result.chosen, result.mixture) == (2, 0.4)
    start, end = evaluate.seen[0], evaluate.seen[1]
    for name, value in branch(branched).items():
        np.testing.assert_allclose(value, 0.6 * start[name] + 0.4 * end[name], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("without", "with_it", "kept"), [(0.5, 0.6, 0.5), (0.6, 0.5, 0.0)])
def test_eval_chooses_the_rivalry(branched, train_files, without, with_it, kept):
    evaluate = Scripted(branched, [0.5, 0.5], [without, with_it])
    result = train(branched, train_files, evaluate, steps=2)
    assert [seen["branch/8/head/rivalry"] for seen in evaluate.seen] == [0.0, 0.5]
    assert result.rivalries["8"] == branch(branched)["branch/8/head/rivalry"] == kept


def test_eval_chooses_each_branchs_own_rivalry(detector, train_files):
    """A value is tried on all branches at once."""
    tried = []

    def evaluate(step):
        rivalries = {label: float(value) for label, value in detector.rivalries.items()}
        tried.append(rivalries)
        ap50 = {"8": 0.5 + rivalries["8"], "3": 0.5 - rivalries["3"]}
        return Evaluation(("8", "3"), {"8": 0.5, "3": 0.5}, ap50, step)

    detector.grow_branches(["8", "3"], BRANCH_PARTS[TARGET_BRANCH])
    try:
        result = train(detector, train_files, evaluate, steps=1)
    finally:
        detector.drop_branches()
        detector.freeze(frozenset())
    assert tried == [{"8": 0.0, "3": 0.0}, {"8": 0.5, "3": 0.5}]
    assert result.rivalries == {"8": 0.5, "3": 0.0}


def test_what_tensorboard_and_airflow_show(branched, examples, train_files, tmp_path, monkeypatch):
    """Losses and recalls by step, and in TensorBoard pictures of the first images of eval."""
    board, shown = Board(tmp_path), tmp_path / "training" / "curves.json"
    files = example_files(examples, "eval")
    evaluate = Evaluator(Serving(branched).encoded, files, branched.label_map, ["8"], 0.5, board)
    recipe = Recipe(batch_size=4, steps=2, evaluations=2, cached_batches=0)
    batches = partial(training_batches, train_files, branched.frame, branched.label_map, recipe)
    result = fit(branched, batches, recipe, hooks=[board, Curves(shown), KeepBest(evaluate)])
    assert set(result.judgements[0]["recalls"]) == set(branched.label_map)
    events = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0}).Reload()
    tags = set(events.Tags()["tensors"])
    assert {
        "loss/class",
        "loss/regularization",
        "learning_rate",
        "eval_recall/8",
        "eval_ap50/8",
    } <= tags
    assert [e.step for e in events.Tensors("eval_recall/8")] == [0, 1, 2]
    width, height, *pictures = events.Tensors("predictions")[0].tensor_proto.string_val
    assert (width, height) == (b"320", b"320")
    assert len(pictures) == 8
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
    curves = of_dags("curves", monkeypatch).read_curves(shown)
    assert (curves.steps, curves.done, curves.chosen) == (2, 2, result.chosen)
    assert [step for step, _ in curves.losses["class"]] == [1, 2]
    told = json.loads(shown.read_text())["evaluations"]
    assert [found["step"] for found in told] == [0, 1, 2]
    assert {label for found in told for label in found["recalls"]} == {"8"}
