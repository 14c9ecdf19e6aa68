"""The form that rolls back: what is typed into it is recorded word by word, and is no command."""

import pytest

from classlift.serving.bundle import Bundle
from classlift.serving.folder import served_versions
from classlift.serving.provenance import Rollback
from tests.dags.parsing import ROOT, parse, run_all, write_topology
from tests.pipelines.conftest import Runs, runs

pytestmark = pytest.mark.pipeline
__all__ = ["runs"]


@pytest.fixture(scope="module")
def parsed(tmp_path_factory) -> dict:
    compiled = tmp_path_factory.mktemp("compiled")
    write_topology(compiled, "x")
    write_topology(compiled, "y")
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


def test_the_file_imports_airflow_alone(parsed):
    assert parsed["imported"] == []


INJECTED = '"; touch pwned #`touch pwned` $(touch pwned) {{ 7 * 7 }}'


def test_what_is_typed_is_recorded_and_nothing_else(runs: Runs, tmp_path):
    for version, name in enumerate(("one", "two", "three"), 5):
        runs.push(name, version)
    write_topology(tmp_path / "compiled", "x", path=runs.config.path)
    states, said = run_all(
        "rollback",
        "classlift_rollback_x",
        [
            {"reason": INJECTED},
            {"reason": "--to=5", "to": 7},
            {"reason": "because", "by": "somebody else"},
            {"reason": "two\nlines"},
        ],
        tmp_path / "compiled",
        tmp_path / "home",
    )
    assert states == ["success", "success", "failed", "failed"], said[-3000:]

    *_, first, second = served_versions(runs.config.serving)
    records = [
        Bundle(runs.config.serving / str(version)).provenance().rollback_of
        for version in (first, second)
    ]
    assert records == [
        # by: who starts what `airflow dags test` runs
        Rollback(by="dag_test", reason=INJECTED, version="6", replaced="7"),
        Rollback(by="dag_test", reason="--to=5", version="7", replaced=str(first)),
    ]
    assert not [*tmp_path.rglob("pwned"), *ROOT.glob("pwned")]

    assert said.count("served again: version") == 2
    assert "--reason must be one line" not in said  # for the others no process was started
    assert "There is no field 'by'; there are: reason, to." in said
    assert "The reason must be one line" in said
