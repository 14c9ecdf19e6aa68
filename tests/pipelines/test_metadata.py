"""Where ML Metadata are: SQLite beside the run, or a Postgres server; a password is never kept."""

from pathlib import Path

import pytest

from classlift.environment import METADATA_VARIABLE
from classlift.errors import ConfigError
from demo import scenes
from pipelines.config import load_config
from pipelines.metadata import connection_to, initialise, open_existing, output_artifact
from pipelines.old_runs import ARTIFACT, Leftover, Plan, remove
from tests.project import make_project


@pytest.mark.unit
def test_sqlite_is_beside_the_run(monkeypatch, tmp_path):
    monkeypatch.delenv(METADATA_VARIABLE, raising=False)
    connection = connection_to(tmp_path / "work")
    initialise(connection)
    assert (tmp_path / "work" / "metadata.db").exists()


@pytest.mark.unit
@pytest.mark.parametrize(
    ("address", "port"),
    [("postgresql://me@db.example:5433/mlmd", "5433"), ("postgresql://me@db.example/mlmd", "5432")],
)
def test_an_address_names_a_database(monkeypatch, address, port):
    monkeypatch.setenv(METADATA_VARIABLE, address)
    found = connection_to(Path("work")).postgresql
    assert (found.host, found.port, found.user, found.dbname) == ("db.example", port, "me", "mlmd")


@pytest.mark.unit
@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:secret@db/mlmd",  # a password
        "postgresql://me@db/",
        "postgresql://db/mlmd",  # nobody
        "postgresql://me@db:port/mlmd",
        "postgresql://me@db/mlmd?password=secret",
        "postgresql://me@db/mlmd password=secret",
        "mysql://me@db/mlmd",
        "metadata.db",
    ],
)
def test_another_address_is_refused_and_not_repeated(monkeypatch, address):
    monkeypatch.setenv(METADATA_VARIABLE, address)
    with pytest.raises(ConfigError, match="must be postgresql://USER@HOST:PORT/DATABASE") as error:
        connection_to(Path("work"))
    assert "secret" not in str(error.value)


@pytest.mark.pipeline
def test_a_run_on_postgres_leaves_no_password_anywhere(postgres, monkeypatch, tmp_path):
    project = make_project(tmp_path, "postgres_test")
    for split in (scenes.OLD, scenes.NEW, scenes.EVAL, scenes.TEST):
        scenes.write_split(split, tmp_path / "data" / split.name, 60)
    address = postgres.new_database()
    words = ["classlift", "compile", "--config", str(project.config)]

    result = project.command(*words, **{METADATA_VARIABLE: address, "PGPASSWORD": "wrong"})
    assert result.returncode == 78
    assert "is its password in PGPASSWORD" in result.stdout
    assert "Traceback" not in result.stdout

    secret = {"PGPASSWORD": postgres.password}
    result = project.command(*words, **{METADATA_VARIABLE: address, **secret})
    assert result.returncode == 0, result.stdout
    compiled = project.compiled / "postgres_test"
    assert address.rpartition("/")[2] in (compiled / "pipeline.json").read_text()

    node = ["pipelines.run_node", "--compiled", str(compiled), "--node", "DatasetSnapshot"]
    for run_id, outcome in (("one", "done"), ("two", "cached")):
        result = project.command(*node, "--run-id", run_id, **secret)
        assert result.returncode == 0, result.stdout
        assert project.outcomes() == {"DatasetSnapshot": outcome}

    # what was removed is made anew, and then answers again
    monkeypatch.setenv(METADATA_VARIABLE, address)
    monkeypatch.setenv("PGPASSWORD", postgres.password)
    config = load_config(project.config)
    store = open_existing(connection_to(config.work))
    snapshot = output_artifact(
        store, "postgres_test", "two", "DatasetSnapshot", "ClassLiftSnapshot"
    )
    left = Leftover(ARTIFACT, Path(snapshot.uri), config.work / "pipeline", 0, snapshot.id)
    remove(config, Plan((left,), (), ()))
    assert not left.path.exists()
    for run_id, outcome in (("three", "done"), ("four", "cached")):
        result = project.command(*node, "--run-id", run_id, **secret)
        assert result.returncode == 0, result.stdout
        assert project.outcomes() == {"DatasetSnapshot": outcome}

    dump = postgres.run("pg_dump", address.rpartition("/")[2])
    assert "DatasetSnapshot" in dump
    assert postgres.password not in dump
    assert not (tmp_path / "work" / "metadata.db").exists()
    files = [path for path in tmp_path.rglob("*") if path.suffix in {".json", ".yaml", ".log"}]
    assert not [path for path in files if postgres.password in path.read_text()]
