"""The DAG that watches: what it is, and that it starts the retraining of the classes that fell."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from classlift.data.label_map import LabelMap
from classlift.data.snapshot import Source
from pipelines.config import Watch
from tests.dags.parsing import parse, run_all, write_topology

pytestmark = pytest.mark.pipeline


def watched(cron: str | None = None) -> Watch:
    return Watch(Source(Path("fresh")), {"8": 0.6}, cron)


@pytest.fixture(scope="module")
def parsed(tmp_path_factory) -> dict:
    compiled = tmp_path_factory.mktemp("compiled")
    write_topology(compiled, "daily", watch=watched("0 6 * * *"))
    write_topology(compiled, "by_hand", watch=watched())
    write_topology(compiled, "unwatched")
    return parse("watch", compiled, tmp_path_factory.mktemp("home"))


def test_a_config_that_watches_has_a_dag(parsed):
    schedules = {name: dag["schedule"] for name, dag in parsed["dags"].items()}
    assert schedules == {
        "classlift_watch_by_hand": None,
        "classlift_watch_daily": "0 6 * * *",
    }
    for dag in parsed["dags"].values():
        assert dag["upstream"] == {"score": [], "retrain": ["score"]}
        assert (dag["catchup"], dag["max_active_runs"]) == (False, 1)


def test_the_file_imports_airflow_alone(parsed):
    assert parsed["imported"] == []


STRANGE = "a {{ b }}; c"
"""A name that Jinja would render and a run's id can't have."""

FOUND = {"version": 7, "snapshot": "abcdef0123456789"}
STUB = """#!/bin/sh
echo loading
sed -n 1p {said}  # a line a run
sed -i 1d {said}
"""


def test_each_class_that_fell_is_retrained_once(tmp_path):
    compiled, home = tmp_path / "compiled", tmp_path / "home"
    labels = LabelMap(("8", STRANGE))
    write_topology(compiled, "x", watch=watched(), label_map=labels)
    fell = ([], [STRANGE, "8"], ["8"])
    said = tmp_path / "said"
    said.write_text("".join(json.dumps({**FOUND, "fell": labels}) + "\n" for labels in fell))
    python = tmp_path / "python"  # stands for the process that scores
    python.write_text(STUB.format(said=said))
    python.chmod(0o755)
    states, output = run_all(
        "watch",
        "classlift_watch_x",
        [{}, {}, {}, {"target": "8"}],
        compiled,
        home,
        CLASSLIFT_ML_PYTHON=str(python),
    )
    assert states == ["success"] * 3 + ["failed"], output[-3000:]
    assert "This DAG takes no values" in output

    with closing(sqlite3.connect(home / "airflow.db")) as database:
        retrainings = "select run_id, conf from dag_run where dag_id = 'classlift_retrain_x'"
        started = database.execute(retrainings).fetchall()
        tasks = "select state from task_instance where dag_id = 'classlift_watch_x'"
        tasks += " and task_id = 'retrain' order by start_date"
        outcomes = [state for (state,) in database.execute(tasks)]
    assert {json.loads(conf)["target"] for _, conf in started} == {STRANGE, "8"}
    assert len(started) == 2
    assert all(run_id.startswith("watch__7_abcdef012345_") for run_id, _ in started)
    assert sorted(outcomes) == ["skipped", "skipped", "success", "success", "upstream_failed"]
