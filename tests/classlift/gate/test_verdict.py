"""`verdict.json` is read as it was written, and every rendering shows the same rows."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import classlift.gate
from classlift.colour import GREEN, PLAIN
from classlift.errors import EvaluationError
from classlift.gate.report import CHARTS
from classlift.gate.report import page as page_of
from classlift.gate.verdict import Outcome, Verdict, read_evaluation
from classlift.metrics.change import Pair
from classlift.serving.provenance import Override, Signature
from pipelines.summary import Summary, render
from tests.classlift.gate.test_report import DIAGNOSIS
from tests.classlift.gate.test_rules import HOLE, LIFTED, compared, evidence
from tests.classlift.gate.verdicts import verdict_on

pytestmark = pytest.mark.unit
NAN = float("nan")
CLASSES = [
    LIFTED,
    evidence("same", unchanged=True, boxes=None),
    compared(-0.0123, label="near"),
    evidence("empty", objects=0, champion_recall=NAN, challenger_recall=NAN, hole=HOLE),
    evidence("never", read_at=Pair(0.4, float("inf"))),
]
OUTCOME = Outcome(
    "served/7", "one", Signature("Ada", "Seen."), Override("Bob", "Why.", "refuse", "one"), "7"
)


@pytest.mark.parametrize("outcome", [None, Outcome(), OUTCOME])
def test_it_is_read_as_it_was_written(tmp_path, outcome):
    verdict = replace(verdict_on(CLASSES), outcome=outcome)
    verdict.write(tmp_path)
    assert Verdict.read(tmp_path) == verdict
    document = json.loads((tmp_path / "verdict.json").read_text())
    assert ("pushed_by_run" in document) == (outcome is not None)
    with pytest.raises(EvaluationError, match=r"report\.html: it is missing"):
        read_evaluation(tmp_path)


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (lambda document: document.pop("units"), "units"),
        (lambda document: document.update(test_uses=True), "test_uses"),
        (lambda document: document.update(findings=["x"]), r"findings\[0\]"),
        (lambda document: document["classes"]["same"].pop("lift"), "classes.same.lift"),
        (lambda document: document["classes"].update(same=3), "classes.same"),
    ],
)
def test_what_is_damaged_is_named(tmp_path, damage, name):
    document = verdict_on(CLASSES).to_json()
    damage(document)
    (tmp_path / "verdict.json").write_text(json.dumps(document))
    with pytest.raises(EvaluationError, match=f"`{name}` is missing or of the wrong type"):
        Verdict.read(tmp_path)


def test_every_rendering_shows_the_same_rows(tmp_path, monkeypatch):
    """No bound for an unchanged class, whose change is nothing by itself: in none of the three."""
    verdict = verdict_on(CLASSES)
    rows = {row.label: row for row in verdict.rows()}
    assert verdict.classes["same"].lower_bound == -0.02
    assert (rows["same"].lower_bound, rows["near"].lower_bound) == (None, -0.02)
    assert rows["empty"].recall == (None, None)
    assert [label for label, row in rows.items() if row.is_target] == ["target"]

    lines = render(Summary("one", verdict, Path("report.html"), []))[1 : 1 + len(rows)]
    terminal = {line.text.split()[0]: line.text.split() for line in lines}
    assert terminal["same"] == ["same", "300", "0.600", "0.600", "+0.000", "-", "unchanged"]
    assert terminal["target"][-2:] == ["lifted", "<"]
    styles = {line.text.split()[0]: line.style for line in lines}
    assert (styles["target"], styles["same"]) == (GREEN, PLAIN)

    page = page_of(
        verdict,
        DIAGNOSIS,
        summary={},
        charts=dict.fromkeys(CHARTS, ("",)),
        galleries={},
        counts={},
    )
    recalls = page[page.index("Recall on test") :]
    assert "<td>0.600</td><td>0.600</td><td>0.000</td>\n<td>–</td>" in recalls
    assert ">nan<" not in recalls

    monkeypatch.syspath_prepend(str(Path(classlift.gate.__file__).parents[2] / "dags"))
    monkeypatch.delitem(sys.modules, "verdicts", raising=False)
    import verdicts  # the control plane's reader, which imports nothing of ours

    folder = tmp_path / "runs" / "one" / "evaluation"
    folder.mkdir(parents=True)
    verdict.write(folder)
    approval = {row.label: row for row in verdicts.read_verdict(str(tmp_path), "one").classes}
    assert approval.keys() == rows.keys()
    for label, row in rows.items():
        shown = approval[label]
        assert (shown.champion_recall, shown.challenger_recall) == row.recall
        assert (shown.lower_bound, shown.status) == (row.lower_bound, row.status)
