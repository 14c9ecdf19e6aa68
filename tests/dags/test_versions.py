"""What the page *Models* says of the versions, from what a push and a rollback leave behind."""

import json
from dataclasses import replace

import pytest

from classlift.gate.verdict import Outcome
from classlift.serving.provenance import Override, Provenance, Rollback
from tests.classlift.gate.test_report import LIFTED
from tests.classlift.gate.verdicts import verdict_on
from tests.dags.test_outcomes import of_dags

pytestmark = pytest.mark.unit


def test_versions_say_when_by_whom_and_on_what_verdict(tmp_path, monkeypatch):
    served, work = tmp_path / "served", tmp_path / "work"
    ada = Override("Ada", "it is <better>", "inconclusive", "run 7")
    again = Rollback("Bob", "misses bikes", "1764000000", "1764100000")
    for number, provenance in (
        (1764000000, Provenance(targets=("8",))),
        (1764100000, Provenance(targets=("8",), override=ada)),
        (1764200000, Provenance(targets=("8",), rollback_of=again)),
    ):
        extra = served / str(number) / "assets.extra"
        extra.mkdir(parents=True)
        provenance.write(extra)
    for name in ("latest", "0000200", "-5", "77"):  # which TF Serving or we take for none
        (served / name).mkdir()
    for run, by in (("one", "one"), ("two", "one")):  # the second found its model pushed
        folder = work / "runs" / run / "evaluation"
        folder.mkdir(parents=True)
        outcome = Outcome(pushed=str(served / "1764000000"), pushed_by_run=by)
        replace(verdict_on([LIFTED], LIFTED.label), outcome=outcome).write(folder)
    (work / "runs" / "three" / "evaluation").mkdir(parents=True)
    (work / "runs" / "three" / "evaluation" / "verdict.json").write_text("{")

    newest, pushed, first = of_dags("versions", monkeypatch).read_versions(served, work)
    record = json.loads((work / "runs" / "one" / "evaluation" / "verdict.json").read_text())
    assert (first.number, first.date, first.who) == (1764000000, "2025-11-24 16:00", "the gate")
    assert (first.verdict, first.recall) == (
        record["verdict"],
        f"{record['recall']['trained']:.3f}",
    )
    assert pushed.who == "Ada, the verdict being inconclusive: it is <better>"
    assert (pushed.verdict, pushed.recall) == ("", "")  # of which no run is left
    assert newest.who == "Bob, version 1764000000 again: misses bikes"
    assert (newest.verdict, newest.recall) == (first.verdict, first.recall)


def test_before_the_first_push_there_is_none(tmp_path, monkeypatch):
    assert of_dags("versions", monkeypatch).read_versions(tmp_path / "served", tmp_path) == []
