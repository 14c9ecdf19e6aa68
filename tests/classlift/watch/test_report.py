"""The page of the series, with one scoring and with many."""

import re
from pathlib import Path

import pytest

from classlift.watch import report
from classlift.watch.score import judged
from tests.classlift.watch.test_score import CLASSES, figures
from tests.classlift.watch.test_series import record

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("scorings", [1, 3, report.SHOWN + 1])
def test_the_page_needs_no_network(tmp_path, scorings):
    records = [
        record(
            version=5 if n < 2 else 6,
            snapshot=str(n),
            time=f"2026-{1 + n // 28:02}-{1 + n % 28:02}T06:00:00+00:00",
            classes=CLASSES,
        )
        for n in range(scorings)
    ]
    page = tmp_path / "watch.html"
    report.write_report(page, "<digits>", records, records[-1], Path("validation/report.html"), ())
    html = page.read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", html)
    assert "<script" not in html
    assert "validation/report.html" in html
    assert "&lt;digits&gt;: <span" in html
    assert "2 classes fell" in html
    assert html.count("<svg") == len(CLASSES)
    shown = f"The latest {report.SHOWN} of {scorings} scorings" in html
    assert shown == (scorings > report.SHOWN)


def test_which_classes_get_a_chart():
    many = {f"x{n}": figures(0.9, 0.95) for n in range(report.CHARTS)}
    classes = judged(
        {**many, "low": figures(0.1, 0.2), "fell": figures(0.3, 0.4), "fine": figures(0.9, 0.95)},
        {"fell": 0.5, "fine": 0.5},
    )
    found = report.charted(classes)
    assert found[:3] == ["fell", "fine", "low"]
    assert len(found) == report.CHARTS
