import pytest

from classlift.errors import ConfigError
from classlift.settings.recipe import Recipe
from classlift.training.loop import evaluation_steps
from classlift.training.selection import Evaluation, best_of

pytestmark = pytest.mark.pipeline  # training imports TensorFlow
BEFORE = Evaluation(("8",), {"8": 0.4, "3": 0.9, "5": float("nan")}, {"8": 0.5})


def judged(target, other, ap50=0.7):
    return Evaluation(("8",), {"8": target, "3": other, "5": float("nan")}, {"8": ap50})


@pytest.mark.parametrize(
    ("candidates", "best"),
    [
        ([judged(0.5, 0.9), judged(0.7, 0.9), judged(0.6, 0.9)], 1),
        ([judged(0.9, 0.8), judged(0.6, 0.88)], 1),  # the first lets another class fall
        ([judged(0.9, 0.7), judged(0.8, 0.8)], 1),  # both do: the smaller drop
        ([judged(0.6, 0.9, 0.7), judged(0.6, 0.9, 0.6)], 0),  # AP50 breaks a tie
        ([judged(0.6, 0.9), judged(0.6, 0.95)], 1),  # equals: the later
    ],
)
def test_the_best_candidate(candidates, best):
    assert best_of(BEFORE, candidates, max_drop=0.05) == best


def test_the_best_for_several_targets_is_the_best_in_the_mean():
    def both(first, second):
        return Evaluation(("8", "3"), {"8": first, "3": second, "5": 0.9}, {"8": 0.5, "3": 0.5})

    candidates = [both(0.9, 0.3), both(0.7, 0.7), both(0.6, 0.7)]
    assert best_of(both(0.2, 0.9), candidates, max_drop=0.05) == 1  # no target is another class
    assert str(candidates[0]) == (
        "recall of class 8 0.900 at matched precision, AP50 0.500; "
        "recall of class 3 0.300 at matched precision, AP50 0.500"
    )


def test_a_class_without_objects_counts_for_nothing():
    assert judged(0.5, 1.0).worst_drop(BEFORE) == 0
    assert judged(0.5, 0.8).worst_drop(BEFORE) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("evaluations", "steps", "expected"),
    [(4, 100, [25, 50, 75, 100]), (0, 100, []), (5, 3, [1, 2, 3]), (1, 7, [7])],
)
def test_when_eval_is_asked(evaluations, steps, expected):
    found = evaluation_steps(Recipe(evaluations=evaluations, steps=steps))
    assert sorted(found) == expected


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"distillation": 1.0}, "a branch leaves them as they"),
        ({"device": "tpu"}, "device is 'tpu'"),
        ({"mosaic": 1.5}, "mosaic is 1.5"),
        ({"focal_alpha": -0.1}, "focal_alpha is -0.1"),
        ({"patience": -1}, "patience is -1; it must be a whole number, 0 to 1,000"),
    ],
)
def test_wrong_recipes_are_refused(parts, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Recipe().override(parts)
