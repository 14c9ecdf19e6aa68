"""Two runs side by side, from their verdicts."""

from dataclasses import replace

import pytest

from classlift.colour import GREEN, PLAIN, RED
from classlift.gate.two_runs import TwoRuns, render
from classlift.settings.gate import GateSettings
from tests.classlift.gate.test_rules import LIFTED, evidence
from tests.classlift.gate.verdicts import verdict_on

pytestmark = pytest.mark.unit
OLD = verdict_on([LIFTED, evidence("bus")])
LOST = {"change": -0.1, "lower": -0.13, "p_worse": 1e-4}
NEW = verdict_on(
    [LIFTED, evidence("bus", **LOST), evidence("tram")],
    settings=GateSettings(min_lift=0.02),
    snapshot="xyz",
)


def test_each_class_stands_beside_itself():
    rendered = render(TwoRuns(("one", "two"), OLD, NEW))
    lines = [line.text for line in rendered]
    assert lines[0] == f"one: {OLD.sentence}"
    assert lines[1].startswith("two: Refused: class bus regressed")
    found = {line.split("  ")[0]: line for line in lines[2:] if line}
    assert "Differs: min_lift: 0.05, then 0.02." in lines
    assert found["target"].endswith("lifted <")
    before, after = (run.classes["bus"].challenger_recall for run in (OLD, NEW))
    assert f"{before:.3f}  {after:.3f}  {after - before:+.3f}" in found["bus"]
    assert found["bus"].endswith("not worse, then regressed")
    assert found["tram"].endswith("no such class, then not worse")
    styles = {line.text.split("  ")[0]: line.style for line in rendered[2:]}
    assert (styles["target"], styles["bus"], styles["tram"]) == (GREEN, RED, PLAIN)


def test_what_else_differs_is_said():
    assert TwoRuns(("one", "two"), OLD, OLD).differences() == ()
    words = TwoRuns(("one", "two"), OLD, replace(NEW, champion="version 2")).differences()
    assert [word.split(":")[0] for word in words] == ["data", "champion", "min_lift"]
