"""The DAG that cleans by the clock: a config has one where it says when."""

import json

import pytest

from classlift.settings.airflow import AirflowSettings
from tests.dags.parsing import parse, run_all, write_topology

pytestmark = pytest.mark.pipeline
STUB = """#!/bin/sh
echo "$@" > {said}
echo '  1.5 GB  would go in all'
"""


def test_what_old_runs_left_is_removed_when_the_config_says(tmp_path):
    compiled, home = tmp_path / "compiled", tmp_path / "home"
    write_topology(compiled, "nightly", airflow=AirflowSettings(clean_cron="0 3 * * *"))
    write_topology(compiled, "by_hand")
    parsed = parse("clean", compiled, tmp_path / "parsing")
    assert parsed["imported"] == []
    assert [(name, dag["schedule"]) for name, dag in parsed["dags"].items()] == [
        ("classlift_clean_nightly", "0 3 * * *")
    ]
    python, said = tmp_path / "python", tmp_path / "said"
    python.write_text(STUB.format(said=said))
    python.chmod(0o755)
    states, log = run_all(
        "clean",
        "classlift_clean_nightly",
        [{}],
        compiled,
        home,
        CLASSLIFT_ML_PYTHON=str(python),
    )
    assert states == ["success"]
    config = json.loads((compiled / "nightly" / "topology.json").read_text())["config"]
    assert said.read_text().split() == [
        "-m", "classlift", "clean", f"--config={config}", "--yes",
    ]  # fmt: skip
    assert "1.5 GB  would go in all" in log
