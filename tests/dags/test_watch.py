"""The DAG that watches: what it is, and that it starts the retraining of the classes that fell."""

import json
import sqlite3
from contextlib import closing

import pytest

from pipelines.airflow import migrate
from tests.dags.parsing import Airflow, parse, write_topology

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def parsed(tmp_path_factory) -> dict:
    compiled = tmp_path_factory.mktemp("compiled")
    write_topology(compiled, "daily", watch={"cron": "0 6 * * *"})
    write_topology(compiled, "by_hand", watch={"cron": None})
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


def test_the_file_is_read_fast_and_imports_airflow_alone(parsed):
    assert parsed["imported"] == []
    assert parsed["seconds"] < 2


FELL = {"version": 7, "snapshot": "abcdef0123456789", "fell": ["a {{ b }}; c", "8"]}


def test_each_class_that_fell_is_retrained_once(tmp_path):
    compiled, home = tmp_path / "compiled", tmp_path / "home"
    write_topology(compiled, "x", watch={"cron": None})
    migrate(home)
    airflow = Airflow(home, compiled)
    assert airflow("dags", "reserialize").returncode == 0
    python = tmp_path / "python"  # what the score process would say
    python.write_text(f"#!/bin/sh\necho loading\necho '{json.dumps(FELL)}'\n")
    python.chmod(0o755)

    def run() -> dict[str, str]:
        """Watches once; the retrainings that there are, with their targets."""
        ran = airflow("dags", "test", "classlift_watch_x", CLASSLIFT_ML_PYTHON=str(python))
        assert ran.returncode == 0, ran.stdout[-3000:]
        with closing(sqlite3.connect(home / "airflow.db")) as database:
            rows = database.execute(
                "select run_id, conf from dag_run where dag_id = 'classlift_retrain_x'"
            )
            return {run_id: json.loads(conf)["target"] for run_id, conf in rows}

    first = run()
    assert set(first.values()) == set(FELL["fell"])
    assert all(run_id.startswith("watch__7_abcdef012345_") for run_id in first)
    assert run() == first
    python.write_text(f"#!/bin/sh\necho '{json.dumps({**FELL, 'fell': []})}'\n")
    assert run() == first
