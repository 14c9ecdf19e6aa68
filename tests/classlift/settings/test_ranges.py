"""Each setting refuses what is out of its range, with its name, the value and the range."""

import math
import re

import pytest

from classlift.errors import ConfigError
from classlift.settings.field import fields_of
from classlift.settings.gate import GateSettings
from classlift.settings.rebalancing import Rebalancing
from classlift.settings.recipe import Recipe

pytestmark = pytest.mark.unit

CASES = [
    (GateSettings, "precision", 0.04, "gate.precision is 0.04; it must be a number, 0.05 to"),
    (GateSettings, "precision", 1, "gate.precision is 1; it must be a number, 0.05 to 0.999."),
    (GateSettings, "precision_tolerance", 1.1, "it must be a number, 0 to 1."),
    (GateSettings, "thresholds", "best", "thresholds is 'best'; choose one of: keep, matched."),
    (
        GateSettings,
        "operating_points",
        "sure",
        "operating_points is 'sure'; choose one of: measured, guaranteed.",
    ),
    (GateSettings, "score_threshold", 0, "is 0; it must be a number, above 0, at most 1."),
    (GateSettings, "score_threshold", 1.5, "is 1.5; it must be a number, above 0, at most 1."),
    (GateSettings, "min_lift", -0.1, "gate.min_lift is -0.1; it must be a number, 0 to 1."),
    (GateSettings, "min_lift", math.nan, "gate.min_lift is nan; it must be a number, 0 to 1."),
    (GateSettings, "max_drop", "0.1", "gate.max_drop is '0.1'; it must be a number, 0 to 1."),
    (GateSettings, "min_recall", 2, "gate.min_recall is 2; it must be a number, 0 to 1."),
    (GateSettings, "recall_floors", {"8": 60}, "it must be a number for each class, 0 to 1."),
    (Rebalancing, "method", "twice", "rebalancing.method is 'twice'; choose one of: repeat_factor"),
    (Rebalancing, "target_boost", 0.5, "is 0.5; it must be a number, 1 to 100."),
    (Rebalancing, "max_growth", math.inf, "is inf; it must be a number, 1 to 100."),
    (Rebalancing, "copy_paste", 2, "rebalancing.copy_paste is 2; it must be a number, 0 to 1."),
    (Rebalancing, "replay_share", 0.96, "is 0.96; it must be a number, 0 to 0.95."),
    (Recipe, "freeze_policy", "backbome", "There is no freeze policy 'backbome'; choose one of: "),
    (Recipe, "max_inference", 0.9, "recipe.max_inference is 0.9; it must be a number, 1 to 10."),
    (Recipe, "steps", 0, "recipe.steps is 0; it must be a whole number, 1 to 1,000,000."),
    (Recipe, "steps", 1.5, "recipe.steps is 1.5; it must be a whole number, 1 to 1,000,000."),
    (Recipe, "steps", True, "recipe.steps is True; it must be a whole number, 1 to 1,000,000."),
    (Recipe, "learning_rate", 0, "is 0; it must be a number, above 0, at most 1."),
    (Recipe, "learning_rate", 2, "is 2; it must be a number, above 0, at most 1."),
    (Recipe, "recalibrate", 1, "recipe.recalibrate is 1; it must be true or false."),
    (Recipe, "seed", 2**31, "is 2147483648; it must be a whole number, 0 to 2,147,483,647."),
    (Recipe, "batch_size", 5000, "is 5000; it must be a whole number, 1 to 4,096."),
    (Recipe, "focal_gamma", 11, "recipe.focal_gamma is 11; it must be a number, 0 to 10."),
    (Recipe, "focal_alpha", -0.1, "recipe.focal_alpha is -0.1; it must be a number, 0 to 1."),
    (Recipe, "distillation", -1, "is -1; it must be a number, 0 to 1,000,000."),
    (Recipe, "auxiliary", -1, "is -1; it must be a number, 0 to 1,000,000."),
    (Recipe, "l2_to_start", -1, "is -1; it must be a number, 0 to 1,000,000."),
    (Recipe, "rivalry", None, "recipe.rivalry is None; it must be true or false."),
    (Recipe, "verifier", 1, "recipe.verifier is 1; it must be true or false."),
    (Recipe, "interpolation", "yes", "is 'yes'; it must be true or false."),
    (Recipe, "evaluations", -1, "is -1; it must be a whole number, 0 to 1,000."),
    (Recipe, "eval_floor", 1.1, "recipe.eval_floor is 1.1; it must be a number, 0 to 1."),
    (Recipe, "patience", -1, "recipe.patience is -1; it must be a whole number, 0 to 1,000."),
    (Recipe, "augmentation", 0, "recipe.augmentation is 0; it must be true or false."),
    (Recipe, "flip", 0, "recipe.flip is 0; it must be true or false."),
    (Recipe, "mosaic", 1.5, "recipe.mosaic is 1.5; it must be a number, 0 to 1."),
    (Recipe, "cached_batches", -1, "is -1; it must be a whole number, 0 to 1,000,000."),
    (Recipe, "device", "tpu", "recipe.device is 'tpu'; choose one of: auto, cpu, gpu."),
    (Recipe, "mixed_precision", 1, "is 1; it must be true or false."),
    (Recipe, "jit_compile", 1, "is 1; it must be true or false."),
    (Recipe, "class_weights", {"8": 0}, "Recipe: the weight of class '8' must be above 0."),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "name", "value", "sentence"), CASES)
def test_what_is_out_of_range_is_refused_with_a_sentence(settings, name, value, sentence):
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        settings(**{name: value})


@pytest.mark.parametrize("settings", [GateSettings, Rebalancing, Recipe])
def test_every_range_has_a_case(settings):
    assert {field.name for field in fields_of(settings)} <= {
        c[1] for c in CASES if c[0] is settings
    }


@pytest.mark.parametrize("settings", [GateSettings, Rebalancing, Recipe])
def test_the_ends_of_a_range_are_in_it(settings):
    start = {"freeze_policy": "none"} if settings is Recipe else {}  # it bears distillation
    for field in fields_of(settings):
        if field.type in (int, float):
            for end in (field.setting.minimum, field.setting.maximum):
                if end is not None:
                    settings(**{**start, field.name: field.type(end)})


def test_a_long_value_is_cut():
    with pytest.raises(ConfigError) as error:
        GateSettings(thresholds="x" * 10_000)
    assert len(str(error.value)) < 200
