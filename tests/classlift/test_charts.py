"""Every chart of the product takes every name of a class."""

from dataclasses import fields

import numpy as np
import pytest

from classlift.data.predictions import Predictions
from classlift.diagnosis.causes import Cause, OverlapFigures
from classlift.diagnosis.report import causes_chart
from classlift.gate import charts
from classlift.gate.evidence import ModelPredictions, compare
from classlift.gate.verdict import Row
from classlift.pages import svg
from classlift.settings.gate import GateSettings
from classlift.watch import report as watch
from tests.classlift.conftest import boxes_table, detections_table
from tests.classlift.watch.test_score import figures
from tests.classlift.watch.test_series import record

pytestmark = [
    pytest.mark.unit,
    pytest.mark.filterwarnings("ignore:Glyph"),  # drawn as a box
    pytest.mark.filterwarnings("ignore:constrained_layout"),
]
NAMES = (
    r"$\frac{$",
    "$x$",
    "",
    " ",
    "_hidden",
    "--><script>alert(1)</script>",
    "a\x1b[31m\nb",
    "\U0001f6f4 \u202e",
    "a" * 5000,
    "a" * 4999 + "b",
    "8",
)


def html(figure) -> str:
    text = svg(figure)
    assert "--><script" not in text
    return text


@pytest.fixture(scope="module")
def comparison():
    rng = np.random.default_rng(1)
    images = tuple(f"image {number}" for number in range(4))
    rows = [
        (i, name, 9.0 * k, 0.0, 9.0 * k + 8, 8.0) for i in images for k, name in enumerate(NAMES)
    ]

    def predictions() -> Predictions:
        found = [(i, name, float(rng.uniform()), *box) for i, name, *box in rows]
        return Predictions(images, boxes_table(rows), detections_table(found))

    models = [ModelPredictions(predictions(), predictions()) for _ in range(2)]
    points = dict.fromkeys(NAMES, 0.5)
    return compare(*models, NAMES, NAMES[0], GateSettings(precision=0.5), points)


@pytest.mark.parametrize("target", NAMES[:2])  # the others are on the axes below
def test_names_in_the_curves_and_the_series(comparison, target):
    html(charts.curves_chart(comparison, target))
    classes = {target: figures(0.9, 0.95, floor=0.5)}
    html(watch._chart(target, 0.5, [record(classes=classes)]))


def test_names_on_an_axis(comparison):
    for pair in (charts.scores_charts, charts.confusion_charts, charts.errors_charts):
        for figure in pair(comparison, NAMES[0]):
            html(figure)
    html(charts.recall_chart([row_of(name) for name in NAMES], 0.95))
    overlaps = OverlapFigures("", 0.0)
    html(causes_chart([Cause(name, 0.1, "", overlaps) for name in NAMES]))
    assert r"<!-- $\frac{$ -->" in html(causes_chart([Cause(NAMES[0], 0.1, "", overlaps)]))


def row_of(label: str) -> Row:
    """A class whose recall rose; nothing else of it is in the chart."""
    known = {"label": label, "recall": (0.1, 0.2), "lower_bound": 0.0, "upper_bound": 0.2}
    return Row(**{**dict.fromkeys(field.name for field in fields(Row)), **known})
