"""What the page *Models* says of the versions, from what a push and a rollback leave behind."""

import json
import os
from dataclasses import replace
from types import SimpleNamespace

import pytest
from defusedxml import ElementTree

from classlift.gate.verdict import Outcome
from classlift.serving.provenance import Override, Provenance, Rollback
from pipelines.versions import read_versions, render, to_json
from tests.classlift.gate.test_rules import LIFTED, evidence
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

    read = of_dags("versions", monkeypatch).read_versions(served, work)
    listed = read_versions(SimpleNamespace(name="digits", serving=served, work=work))
    newest, pushed, first = read
    for one, other in zip(read, listed, strict=True):  # `classlift versions` says the same
        assert (one.number, one.who) == (other.number, other.who)
        assert one.date == other.pushed[:16].replace("T", " ")
        assert (one.target, one.verdict) == (", ".join(other.target), other.verdict or "")
        assert one.recall == ("" if other.recall is None else f"{other.recall:.3f}")
    assert [record["served"] for record in to_json(listed)] == [True, False, False]
    head, line, *_ = render(listed)
    assert head.text.split()[:2] == ["version", "pushed"]
    words = ["1764200000,", "served", "now", "2025-11-26", "23:33", "8", first.recall, "push"]
    assert line.text.split()[: len(words)] == words
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


def judged(work, run: str, seconds: int, *evidence, **outcome) -> None:
    """A run as it is when it has ended."""
    folder = work / "runs" / run / "evaluation"
    folder.mkdir(parents=True)
    verdict = verdict_on([LIFTED, *evidence], LIFTED.label)
    replace(verdict, outcome=Outcome(**outcome)).write(folder)
    record = folder.parent / "DatasetSnapshot.json"
    record.write_text("{}")
    os.utime(record, (seconds, seconds))


def test_runs_and_watches_are_a_line_in_the_order_in_which_they_were(tmp_path, monkeypatch):
    history = of_dags("history", monkeypatch)
    judged(tmp_path, "b", 1764000000, pushed="served/1", pushed_by_run="b")
    judged(tmp_path, "a", 1764100000, evidence("bus <1>"))
    (tmp_path / "runs" / "c" / "evaluation").mkdir(parents=True)
    (tmp_path / "runs" / "c" / "evaluation" / "verdict.json").write_text("{")
    (tmp_path / "watch").mkdir()
    figures = {"bus <1>": {"recall": 0.5}, "tram": {"recall": None}}
    watch = {"time": "2025-11-24T20:00:00+00:00", "version": 1, "classes": figures}
    (tmp_path / "watch" / "series.jsonl").write_text(json.dumps(watch) + "\ntorn")

    runs, watches = history.read_runs(tmp_path), history.read_watches(tmp_path)
    assert [(run.name, run.date, run.pushed) for run in runs] == [
        ("b", "2025-11-24 16:00", True),
        ("a", "2025-11-25 19:46", False),
    ]
    assert runs[1].status["bus <1>"] == "not worse"
    assert [(watch.name, watch.recalls) for watch in watches] == [("version 1", {"bus <1>": 0.5})]
    drawn = ElementTree.fromstring(history.line("bus <1>", [runs[0], *watches, runs[1]]))
    assert [mark.tag for mark in drawn] == ["polyline", "rect", "circle"]  # b did not know it
    assert drawn[1][0].text == "version 1, 2025-11-24 20:00: recall 0.500, watch"
    assert drawn[2].get("fill") == "none"
    assert drawn.get("aria-label") == "recall of class bus <1>, 2 points"
