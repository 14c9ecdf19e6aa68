"""What Airflow's list of runs says of a run, and that the verdict is read as it was written."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from classlift.gate.verdict import Outcome
from pipelines import nodes
from tests.classlift.gate.test_report import LIFTED
from tests.classlift.gate.verdicts import verdict_on
from tests.dags.parsing import ROOT

pytestmark = pytest.mark.unit
ADA = {"responded_by_user": {"name": "Ada"}, "chosen_options": ["Approve"]}
TOLD = {"sentence": "Why.", "version": None}


def of_dags(name: str, monkeypatch) -> ModuleType:
    """A module of `dags` that needs the standard library alone."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "dags" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def outcomes(monkeypatch) -> ModuleType:
    return of_dags("outcomes", monkeypatch)


def test_the_operators_are_those_of_the_dag(outcomes):
    files = {"operators": ("GATE", "PUSHER", "NEW_LABELS"), "approval": ("APPROVAL",)}
    for file, names in files.items():
        text = (ROOT / "dags" / f"{file}.py").read_text()
        for name in names:
            assert f"\nclass {getattr(outcomes, name)}(" in text
    text = "".join(path.read_text() for path in (ROOT / "dags").rglob("*.py"))
    for node in nodes.NODES:
        assert f'"{node.id}"' not in text, "a node's id stands in the table of nodes alone"


@pytest.mark.parametrize(
    ("answers", "states", "line"),
    [
        (
            {"PushOperator": TOLD | {"verdict": "push", "version": "7"}},
            {},
            "Pushed as version 7. Why.",
        ),
        (
            {
                "PushOperator": TOLD | {"verdict": "inconclusive", "version": "7"},
                "VerdictApproval": ADA,
            },
            {},
            "Pushed as version 7 by Ada. Why.",
        ),
        ({"GateOperator": TOLD | {"verdict": "refuse"}}, {"PushOperator": "skipped"}, "Why."),
        (
            {
                "GateOperator": TOLD | {"verdict": "inconclusive"},
                "VerdictApproval": ADA | {"chosen_options": ["Reject"]},
            },
            {"PushOperator": "skipped"},
            "Not pushed: rejected by Ada. Why.",
        ),
        (
            {
                "GateOperator": TOLD | {"verdict": "push"},
                "VerdictApproval": {"chosen_options": ["Reject"], "responded_by_user": None},
            },
            {"PushOperator": "skipped"},
            "Not pushed: rejected, for nobody answered. Why.",
        ),
        (
            {"GateOperator": TOLD | {"verdict": "push"}},
            {"PushOperator": "skipped"},
            "Not pushed: this model was pushed before. Why.",
        ),
        (
            {"GateOperator": TOLD | {"verdict": "push"}},
            {"PushOperator": "failed"},
            "Not pushed. Why.",
        ),
        (
            {},
            {"NewLabelsOperator": "skipped"},
            "Nothing done: too few labels of the class are new.",
        ),
        ({}, {"Trainer": "failed"}, None),
        ({"GateOperator": "a log line of an older version"}, {}, None),
    ],
)
def test_each_end_has_a_line(outcomes, answers, states, line):
    assert outcomes.outcome(answers, states) == line


def test_a_users_own_note_stays(outcomes):
    once = outcomes.with_own_words("Refused.", "for Ada", True)
    assert outcomes.with_own_words("Pushed.", once, True) == "Pushed.\n\n---\nfor Ada"
    assert outcomes.with_own_words("Pushed.", "Refused.", False) == "Pushed."
    long = outcomes.with_own_words("x" * 2000, "for Ada", True)
    assert len(long) == outcomes.LONGEST
    assert long.endswith("for Ada")
    assert outcomes.with_own_words("Pushed.", "y" * 1000, True) == "y" * 1000


def test_the_verdict_is_read_as_it_was_written(tmp_path, monkeypatch):
    verdicts = of_dags("verdicts", monkeypatch)
    folder = tmp_path / "runs" / "one" / "evaluation"
    folder.mkdir(parents=True)
    verdict = verdict_on([LIFTED], LIFTED.label)
    verdict.write(folder)
    found = verdicts.read_verdict(str(tmp_path), "one")
    target = verdict.classes[verdict.target]
    assert (found.sentence, found.reasons) == (verdict.sentence, verdict.reasons)
    assert (found.lift, found.lower_bound) == (target.lift, target.lower_bound)
    assert json.loads(json.dumps(found.as_dict()))["version"] is None

    beside = (replace(verdict, target="b"), replace(verdict, verdict="refuse", target="c"))
    replace(verdict, beside=beside).write(folder)
    several = verdicts.read_verdict(str(tmp_path), "one")
    assert (several.target, several.lift) == (f"{LIFTED.label}, b", None)

    pushed = Outcome(pushed=str(Path("served", "7")), pushed_by_run="one")
    replace(verdict, outcome=pushed).write(folder)
    assert verdicts.read_verdict(str(tmp_path), "one").as_dict()["version"] == "7"
    replace(verdict, outcome=replace(pushed, pushed_by_run="two")).write(folder)
    assert verdicts.read_verdict(str(tmp_path), "one").pushed is None
