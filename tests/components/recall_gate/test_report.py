"""The page of the report, without its pictures; the demo's tests look at a whole one."""

from pathlib import Path

import pytest

import components.recall_gate
from components.pages import render
from components.recall_gate.rules import judge, to_json
from components.recall_gate.settings import GateSettings
from tests.components.recall_gate.test_rules import LIFTED, compared, evidence

pytestmark = pytest.mark.unit
DIAGNOSIS = {
    "sentences": [],
    "reasons": [],
    "overridden": [],
    "recipe": {},
    "rebalancing": {"boxes_before": {}, "boxes_after": {}},
}
LINEAGE = {"champion": "version 1", "snapshot": "abc", "code_version": "def"}
TEMPLATE = Path(components.recall_gate.__file__).with_name("report.html.j2")


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
    recall = {"as_deployed": 0.2, "recalibrated": 0.4, "trained": 0.7}
    extra = {"settings": vars(settings), "recall": recall, "test_uses": 1, **LINEAGE}
    verdict = to_json(judge(classes, "target", settings), classes, "target", extra)
    html = render(
        TEMPLATE,
        verdict=verdict,
        diagnosis=DIAGNOSIS,
        charts=dict.fromkeys(("recall", "curves", "errors", "confusion"), ""),
        galleries={},
        counts={},
    )
    assert words in html
    assert unsaid not in html
    assert ("<td>-0.012</td>" in html) == (score_threshold is not None)
