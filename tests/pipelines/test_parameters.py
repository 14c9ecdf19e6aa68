import functools
import json
import re
import subprocess
import sys
from argparse import Namespace
from typing import Any

import pytest

from classlift.errors import ConfigError
from classlift.settings.freeze import POLICIES
from pipelines.bindings import asked, bind
from pipelines.commands.options import assigned
from pipelines.parameters import PARAMETERS, check

pytestmark = pytest.mark.unit
SCHEMAS = {
    "target": {"type": "string", "enum": ["7", "8"]},
    **{name: p.schema for name, p in PARAMETERS.items()},
}
NESTED: list[Any] = functools.reduce(lambda inner, _: [inner], range(900), [])
FIXED = {"backend": "od_api", "code_version": "x"}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"target": "8", "steps": 10, "min_lift": 0.1, "freeze_policy": "none"},
        {"steps": None, "freeze_policy": None},  # what the form sends for "as the config says"
        {"learning_rate": 1},  # a whole number is a number
        *({"freeze_policy": policy} for policy in POLICIES),
    ],
)
def test_good_values_pass(values):
    check(values, SCHEMAS)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"stepps": 10},
            "no run parameter 'stepps' (did you mean 'steps'?); there are: target",
        ),
        ({"steps": 0}, "param steps: 0 is less than the minimum of 1"),
        ({"steps": 1.5}, "param steps: 1.5 is not of type 'integer'"),
        (
            {"steps": True},
            "param steps: True is not of type 'integer'",
        ),  # JSON schema knows that true is no number
        ({"steps": "10"}, "'10' is not of type 'integer', 'null'; it must be a whole number"),
        ({"target": 8}, "param target: 8 is not"),
        ({"target": '"; touch pwned #'}, "param target: "),
        ({"target": "$(touch pwned)"}, "param target: "),
        ({"target": "{{ macros }}"}, "param target: "),
        ({"target": "8\n"}, "param target: "),
        ({"target": "8" * 10_000}, "param target: "),
        ({"x" * 10_000: 1}, "no run parameter"),
        ({"min_lift": float("nan")}, "param min_lift: NaN is no finite number"),
        (
            {"recall_floors": {"8": float("nan")}},
            'param recall_floors: {"8": NaN} is no finite number',
        ),
        ({"recall_floors": {"8": 1.5}}, "1.5 is greater than the maximum of 1"),
        ({"recall_floors": 0.5}, "param recall_floors: 0.5 is not of type"),
        ({"max_drop": -0.1}, "param max_drop: -0.1 is less than"),
        ({"score_threshold": 0}, "param score_threshold: 0 is less than or equal to"),
        ({"replay_share": 1.0}, "param replay_share: 1.0 is greater than"),
        ({"class_weight": 0}, "param class_weight: 0 is less than or equal to"),
        ({"freeze_policy": "regex:" + "a" * 2000}, "is too long"),
        ({"freeze_policy": "first"}, "'first' is not one of ['target-branch', "),
        (
            {"freeze_policy": "first"},
            "'all-but-class-head', 'target-branch+block:N', 'first:N', 'regex:...']",
        ),
        ({"freeze_policy": "first:N"}, "There is no freeze policy 'first:N'"),
        ({"freeze_policy": "regex:("}, "freeze_policy: no regular expression: '('"),
        ({"freeze_policy": "regex:\ud800"}, "param freeze_policy: it is nested too deeply, or no"),
        ({"recall_floors": {"8": NESTED}}, "param recall_floors: "),
        ({"steps": 10**4000}, "param steps: "),
    ],
)
def test_wrong_values_are_refused_with_a_sentence(values, sentence):
    with pytest.raises(ConfigError) as error:
        check(values, SCHEMAS)
    assert sentence in str(error.value)
    assert len(str(error.value)) < 1000


def test_the_form_says_what_holds_and_moves_no_number_silently():
    form = {name: parameter.field() for name, parameter in PARAMETERS.items()}
    for name, field in form.items():
        assert not {"minimum", "exclusiveMinimum", "maximum"} & field.keys(), name
        assert re.search(r"([Dd]efault|empty|Empty): \w", field["description"]), name
        assert not re.search(r"\b(null|None|true|false)\b", field["description"]), name
        if "enum" in field:  # words for each, also for null
            assert {str(word or "null") for word in field["enum"]} == field["values_display"].keys()
        if "boolean" in field["type"]:
            assert isinstance(field["default"], bool), name
    assert form["augmentation"]["default"] is True
    assert form["device"]["values_display"]["null"] == "default: auto"
    assert form["steps"]["description"].endswith("1 to 1,000,000; empty: 900.")
    for values, limit in (({"steps": -5}, "minimum of 1"), ({"min_lift": 2}, "maximum of 1")):
        with pytest.raises(ConfigError, match=limit):
            check(values, form)


def test_groups_change_only_what_depends_on_them():
    """A new threshold of the gate runs the gate again, not the training before it."""
    plain = bind({"target": "8"}, FIXED)
    gate = bind({"target": "8", "max_drop": 0.2}, FIXED)
    assert (gate.overrides, gate.rebalancing, gate.trainer_config) == (
        plain.overrides,
        plain.rebalancing,
        plain.trainer_config,
    )
    assert json.loads(gate.gate)["max_drop"] == 0.2
    floors = bind({"target": "8", "recall_floors": {"8": 0.6}}, FIXED)
    assert json.loads(floors.gate)["recall_floors"] == {"8": 0.6}
    assert floors.trainer_config == plain.trainer_config
    assert asked({"target": "8", "max_drop": 0.2}) != asked({"target": "8"})
    assert bind({"target": "8", "approve_before_push": True}, FIXED) == plain
    assert asked({"target": "8", "approve_before_push": True}) == asked({"target": "8"})


def test_one_class_is_one_target_however_it_is_written():
    assert bind({"target": ["8"]}, FIXED) == bind({"target": "8"}, FIXED)
    assert asked({"target": ["8"]}) == asked({"target": "8"})


def test_several_targets_reach_all_that_are_about_them():
    bound = bind({"target": ["8", "3"]}, FIXED)
    assert json.loads(bound.target) == ["8", "3"]
    assert json.loads(bound.trainer_config)["targets"] == ["8", "3"]
    assert json.loads(bound.rebalancing)["targets"] == ["8", "3"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("target=8", "8"),  # a class may be called so
        ('target="8"', '"8"'),  # and so
        ("target=car, old", "car, old"),
        ('target=["8", "3"]', ["8", "3"]),
        ("target=[8, 3]", ["8", "3"]),
        ("target=[8]", "8"),
        ("steps=8", 8),
    ],
)
def test_what_is_assigned(text, value):
    [(_, found)] = assigned(Namespace(set=[text])).items()
    assert found == value


def test_a_fixed_score_threshold_reaches_trainer_and_gate():
    bound = bind({"target": "8", "score_threshold": 0.4}, FIXED)
    assert json.loads(bound.trainer_config)["score_threshold"] == 0.4
    assert json.loads(bound.gate)["score_threshold"] == 0.4
    plain = bind({"target": "8", "score_threshold": None}, FIXED)
    assert json.loads(plain.trainer_config)["score_threshold"] is None


def test_what_becomes_of_thresholds_reaches_trainer_and_gate():
    for given, expected in ((None, "keep"), ("keep", "keep"), ("matched", "matched")):
        bound = bind({"target": "8", "thresholds": given}, FIXED)
        assert json.loads(bound.trainer_config)["thresholds"] == expected
        assert json.loads(bound.gate)["thresholds"] == expected
    with pytest.raises(ConfigError, match="param thresholds: 'best' is not one of"):
        check({"thresholds": "best"}, SCHEMAS)


def test_which_operating_points_are_asked_for_reaches_diagnosis_trainer_and_gate():
    for given, expected in ((None, "measured"), ("guaranteed", "guaranteed")):
        bound = bind({"target": "8", "operating_points": given}, FIXED)
        assert bound.operating_points == expected
        assert json.loads(bound.trainer_config)["operating_points"] == expected
        assert json.loads(bound.gate)["operating_points"] == expected
    with pytest.raises(ConfigError, match=r"score_threshold fixes them: leave one out\."):
        bind({"target": "8", "operating_points": "guaranteed", "score_threshold": 0.4}, FIXED)


def test_seed_reaches_data_and_recipe():
    bound = bind({"target": "8", "seed": 7}, FIXED)
    assert json.loads(bound.overrides) == {"seed": 7}
    assert json.loads(bound.rebalancing)["seed"] == 7


def test_the_form_needs_no_tensorflow():
    """Every node imports the parameters, and most live without TensorFlow and Beam."""
    code = (
        "import sys, pipelines.run_node\n"
        "heavy = {'tensorflow', 'apache_beam', 'google.protobuf', 'tfx'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
