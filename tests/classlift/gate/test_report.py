"""The page of the report, without its pictures; the demo's tests look at a whole one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import classlift.gate
from classlift.diagnosis.causes import Cause, ImbalanceFigures
from classlift.diagnosis.diagnosis import Diagnosis
from classlift.diagnosis.weakness import Weakness
from classlift.gate import report
from classlift.metrics.summary import FIGURES, SIZES, summarize
from classlift.pages import render
from classlift.settings.gate import GateSettings
from classlift.settings.recipe import Recipe
from tests.classlift.examples.test_rebalanced import REBALANCED
from tests.classlift.gate.test_evidence import LABELS, model, verdict
from tests.classlift.gate.test_rules import LIFTED, compared, evidence
from tests.classlift.gate.verdicts import verdict_on

pytestmark = pytest.mark.unit
DIAGNOSIS = Diagnosis(
    weakness=Weakness(
        "scooter",
        precision=0.8,
        deployed=0.1,
        recalibrated=0.2,
        others=0.9,
        ap50=0.3,
        causes=(Cause("imbalance", 0.3, "It is rare.", ImbalanceFigures(0.1, 0.5)),),
    ),
    reasons=(),
    advice="Label more.",
    stop=None,
    recipe=Recipe(),
    overridden=(),
    rebalanced=replace(REBALANCED, boxes_before={"car": 1}, boxes_after={"car": 2}),
    doubts=(),
)
TEMPLATE = Path(classlift.gate.__file__).with_name("report.html.j2")


def test_by_size():
    columns = pd.MultiIndex.from_product([SIZES, FIGURES])
    before = pd.DataFrame(0.5, index=["car", "scooter", "tram"], columns=columns)
    after = before + 0.25
    for table in (before, after):
        table.loc[["scooter", "tram"], "large"] = np.nan
        table.loc["tram", "small"] = np.nan
    found = report.by_size([before, after], "scooter")
    nothing, some = (None, None), (0.5, 0.75)
    assert found["class scooter"]["AP"] == [some, some, some, nothing]
    assert found["mean of the others"]["AP50"] == [some] * 4  # of those that have objects
    assert report.by_size([before, after], "car")["mean of the others"]["AR"][3] == nothing


def test_shows_cocos_figures_before_and_after(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "_gallery", lambda *_: [])  # there are no images
    models = (model(1.0), model(2.5))
    judgement, comparison = verdict(*models)
    summaries = [
        summarize(m.test.boxes, m.test.detections, m.test.image_ids, LABELS) for m in models
    ]
    path = tmp_path / "report.html"
    document = verdict_on(comparison.evidence, "scooter", judgement=judgement)
    report.write_report(path, document, comparison, summaries, DIAGNOSIS, tmp_path)
    before, after = (table.loc["scooter", ("small", "AP75")] for table in summaries)
    assert f"<td>{before:.3f} → {after:.3f}</td>" in path.read_text("utf-8")


@pytest.mark.parametrize(
    ("score_threshold", "other", "words", "unsaid"),
    [
        (None, evidence(), "with precision 0.80 on eval", "precision before"),
        (0.4, compared(-0.0123), "<th>precision before</th><th>change</th>", "operating points:"),
    ],
)
def test_what_is_shown_depends_on_how_scores_are_cut(score_threshold, other, words, unsaid):
    settings = GateSettings(score_threshold=score_threshold)
    classes = [LIFTED if score_threshold is None else compared(label="target"), other]
    verdict = verdict_on(classes, settings=settings, test_uses=2)
    html = render(
        TEMPLATE,
        verdict=verdict,
        rows=verdict.rows(),
        diagnosis=DIAGNOSIS,
        sizes=[],
        summary={},
        charts=dict.fromkeys(("recall", "causes", "curves", "errors", "confusion"), ""),
        galleries={},
        counts={},
    )
    assert words in html
    assert "of test, 500 images in 25 scenes, by `group`." in html
    assert "Bounds are one-sided 97.5%" in html
    assert "has been used 2 times by the gate. Each use is charged" in html
    assert unsaid not in html
    assert ("<td>-0.012</td>" in html) == (score_threshold is not None)
