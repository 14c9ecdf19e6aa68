import sys

import pytest

from benchmarks import metrics

pytestmark = pytest.mark.unit


def test_it_runs_and_agrees_with_pycocotools(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["metrics", "--images", "60", "--rounds", "1"])
    metrics.main()  # exits when the summaries differ
    assert "| all that the gate and its report read |" in capsys.readouterr().out
