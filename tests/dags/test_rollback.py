"""The form that rolls back: what is typed into it is recorded word by word, and is no command."""

import json

import pytest

from components.serving_folder import served_provenance, served_versions
from pipelines.airflow import migrate
from tests.dags.parsing import ROOT, Airflow, parse, write_topology
from tests.pipelines.conftest import Runs, runs

pytestmark = pytest.mark.pipeline
__all__ = ["runs"]


@pytest.fixture(scope="module")
def parsed(tmp_path_factory) -> dict:
    compiled = tmp_path_factory.mktemp("compiled")
    write_topology(compiled, "x")
    write_topology(compiled, "y", watch={"cron": None})
    return parse("rollback", compiled, tmp_path_factory.mktemp("home"))


def test_every_config_has_a_form(parsed):
    assert sorted(parsed["dags"]) == ["classlift_rollback_x", "classlift_rollback_y"]
    dag = parsed["dags"]["classlift_rollback_x"]
    assert dag["params"]["to"]["type"] == ["integer", "null"]
    limits = {key: dag["params"]["reason"][key] for key in ("type", "minLength", "maxLength")}
    assert limits == {"type": "string", "minLength": 1, "maxLength": 2000}
    assert dag["schedule"] is None
    assert dag["max_active_runs"] == 1


def test_a_second_try_would_undo_the_first(parsed):
    assert parsed["dags"]["classlift_rollback_x"]["retries"] == {"rollback": 0}


def test_the_file_is_read_fast_and_imports_airflow_alone(parsed):
    assert parsed["imported"] == []
    assert parsed["seconds"] < 2


def test_what_is_typed_is_recorded_and_nothing_else(runs: Runs, tmp_path):
    for version, name in enumerate(("one", "two", "three"), 5):
        runs.push(name, version)
    compiled, home = tmp_path / "compiled", tmp_path / "home"
    write_topology(compiled, "x", config=str(runs.config.path))
    migrate(home)
    airflow = Airflow(home, compiled)

    def roll_back(**conf: object) -> tuple[int, str]:
        words = ("dags", "test", "classlift_rollback_x", "--conf", json.dumps(conf))
        result = airflow(*words)
        return result.returncode, result.stdout

    reason = '"; touch pwned #`touch pwned` $(touch pwned) {{ 7 * 7 }} --to=5'
    code, said = roll_back(reason=reason)
    assert code == 0, said[-3000:]
    # by: who starts a run of `airflow dags test`
    record = {"by": "dag_test", "reason": reason, "version": "6", "replaced": "7"}
    assert served_provenance(runs.config.serving)["rollback_of"] == record

    reason = "--to=5"
    code, said = roll_back(reason=reason, to=7)
    assert code == 0, said[-3000:]
    record = served_provenance(runs.config.serving)["rollback_of"]
    assert (record["reason"], record["version"]) == (reason, "7")

    versions = served_versions(runs.config.serving)
    code, said = roll_back(reason="because", by="somebody else")
    assert code != 0
    assert "There is no field 'by'; there are: reason, to." in said
    assert "Running command" not in said
    assert served_versions(runs.config.serving) == versions
    assert not list(tmp_path.rglob("pwned"))
    assert not (ROOT / "pwned").exists()
