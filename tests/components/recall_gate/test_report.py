import numpy as np
import pandas as pd
import pytest

from components.metrics.summary import FIGURES, SIZES, summarize
from components.recall_gate import report
from components.recall_gate.rules import to_json
from components.recall_gate.settings import GateSettings
from tests.components.recall_gate.test_evidence import LABELS, model, verdict

pytestmark = pytest.mark.unit
DIAGNOSIS = {
    "sentences": ["It is rare."],
    "reasons": [],
    "overridden": [],
    "recipe": {},
    "rebalancing": {"boxes_before": {"car": 1}, "boxes_after": {"car": 2}},
}


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
    extra = {
        "settings": vars(GateSettings()),
        "recall": {"as_deployed": 0.1, "recalibrated": 0.2, "trained": 0.3},
        "test_uses": 1,
        **dict.fromkeys(("champion", "snapshot", "code_version"), "x"),
    }
    summaries = [
        summarize(m.test.boxes, m.test.detections, m.test.image_ids, LABELS) for m in models
    ]
    path = tmp_path / "report.html"
    document = to_json(judgement, comparison.evidence, "scooter", extra)
    report.write_report(path, document, comparison, summaries, DIAGNOSIS, tmp_path)
    before, after = (table.loc["scooter", ("small", "AP75")] for table in summaries)
    assert f"<td>{before:.3f} → {after:.3f}</td>" in path.read_text("utf-8")
