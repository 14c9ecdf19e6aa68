"""A push against the gate: by whom, why, and when never; on a real metadata store."""

import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2 as pb

from classlift import cli
from classlift.errors import ConfigError, EvaluationError, ModelError
from classlift.serving.bundle import Bundle
from classlift.serving.folder import champion_name, damage, served_provenance, served_versions
from classlift.serving.provenance import Override
from pipelines import override
from pipelines.compile import topology_of
from pipelines.config import load_config
from pipelines.metadata import OVERRIDE
from pipelines.override import NEEDED, push_anyway
from tests.pipelines.conftest import Runs, provenance_of, run_of
from tests.project import make_project

pytestmark = [pytest.mark.unit, pytest.mark.usefixtures("unloaded")]
BY, REASON = "Ada Lovelace", "All errors that are left are errors of the labels."


@pytest.mark.usefixtures("each_metadata_database")
def test_a_push_is_served_and_recorded(runs):
    runs.add("one")
    config, destination = runs.config, push_anyway(runs.config, f" {BY} ", REASON)
    record = {"by": BY, "reason": REASON, "verdict": "refuse", "run": "one"}

    # what the next run's champion is made of
    assert [destination.name] == [str(version) for version in served_versions(config.serving)]
    assert served_provenance(config.serving) == replace(
        provenance_of("one"), override=Override(**record)
    )
    assert Bundle(destination).operating_points()["3"] == 0.3
    assert (destination / "saved_model.pb").read_bytes() == (
        runs.model / "saved_model.pb"
    ).read_bytes()
    assert damage(destination) is None
    name = champion_name(served_versions(config.serving), config.model)
    assert name == f"version {destination.name}"

    verdict = json.loads((config.work / "verdict.json").read_text())
    assert (verdict["pushed"], verdict["override"]) == (str(destination), record)

    store = runs.store
    [execution] = store.get_executions_by_type(OVERRIDE)
    assert {name: value.string_value for name, value in execution.properties.items()} == record
    events = store.get_events_by_execution_ids([execution.id])
    kinds = {store.get_artifacts_by_id([event.artifact_id])[0].type: event.type for event in events}
    assert kinds == {
        "Model": pb.Event.INPUT,
        "ModelEvaluation": pb.Event.INPUT,
        "PushedModel": pb.Event.OUTPUT,
    }
    assert [c.name for c in store.get_contexts_by_execution(execution.id)] == ["one"]


def test_the_command_prints_where_the_version_lies(runs, monkeypatch, capsys):
    runs.add("one")
    words = ["classlift", "push", "--config", str(runs.config.path), "--by", BY, "--reason", REASON]
    monkeypatch.setattr(sys, "argv", words)
    assert cli.main() == 0
    [version] = served_versions(runs.config.serving)
    assert capsys.readouterr().out.splitlines()[-1] == str(runs.config.serving / str(version))


def test_the_dag_pushes_what_was_compiled_whatever_the_config_says_now(runs, monkeypatch, capsys):
    runs.add("one")
    compiled = runs.config.work / "compiled"
    compiled.mkdir()
    topology_of(runs.config).write(compiled)
    runs.config.path.write_text("nothing: of use")
    words = ["override", "--compiled", str(compiled), "--run-id=one", f"--by={BY}"]
    monkeypatch.setattr(sys, "argv", [*words, f"--reason={REASON}"])
    assert override.main() == 0
    [version] = served_versions(runs.config.serving)
    assert capsys.readouterr().out.splitlines()[-1] == str(runs.config.serving / str(version))


@pytest.mark.usefixtures("each_metadata_database")
def test_configs_may_share_a_database_and_the_names_of_runs(tmp_path, saved_model):
    """As two schedules do, which name their runs by the hour."""
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
    mine, other = (
        Runs(load_config(make_project(tmp_path / name, name).config), saved_model)
        for name in ("mine", "other")
    )
    mine.add("one", "inconclusive")
    other.add("one")
    other.add("two")
    assert push_anyway(mine.config, BY, REASON).parent == mine.config.serving
    assert json.loads((mine.config.work / "verdict.json").read_text())["verdict"] == "inconclusive"
    assert served_versions(other.config.serving) == []


def test_the_latest_run_that_reached_its_gate_is_meant(runs):
    runs.add("one")
    runs.add("two", "inconclusive")
    runs.add("three", RecallGate=pb.Execution.FAILED)
    assert run_of(push_anyway(runs.config, BY, REASON)) == "two"


def test_a_run_can_be_named(runs):
    runs.add("one")
    runs.add("two")
    pushed = push_anyway(runs.config, BY, REASON, "one")
    assert run_of(pushed) == "one"
    assert (runs.config.work / "report.html").read_text() == "one"


def not_json(_: Runs, evaluation: Path) -> None:
    text = (evaluation / "verdict.json").read_text()
    (evaluation / "verdict.json").write_text(text[:-20])


def changed(**parts):
    """A verdict with other parts, or (None) without them."""

    def damage(_: Runs, evaluation: Path) -> None:
        path = evaluation / "verdict.json"
        document = {**json.loads(path.read_text()), **parts}
        path.write_text(json.dumps({k: v for k, v in document.items() if v is not None}))

    return damage


def not_blessed(runs: Runs, _: Path) -> None:
    store = runs.store
    [blessing] = store.get_artifacts_by_type("InfraBlessing")
    blessing.custom_properties["blessed"].int_value = 0
    store.put_artifacts([blessing])


def of_other_bytes(runs: Runs, _: Path) -> None:
    store = runs.store
    [blessing] = store.get_artifacts_by_type("InfraBlessing")
    blessing.custom_properties["export"].string_value = "0" * 64
    store.put_artifacts([blessing])


def gone(name: str):
    return lambda _, evaluation: (evaluation / name).unlink()


def another_version(runs: Runs, _: Path) -> None:
    (runs.config.serving / "7").mkdir(parents=True)
    (runs.config.serving / "7" / "saved_model.pb").touch()


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (gone("verdict.json"), EvaluationError, "verdict.json: it can't be read"),
        (gone("report.html"), EvaluationError, "report.html: it is missing"),
        (not_json, EvaluationError, "verdict.json: it is damaged"),
        (changed(version=1), EvaluationError, "no verdict of version 2"),
        (changed(verdict="pushed"), EvaluationError, "`verdict` is 'pushed'"),
        (changed(champion=None), EvaluationError, "`champion` is missing"),
        (changed(classes=["8"]), EvaluationError, "`classes` is missing or of the wrong type"),
        (changed(verdict="push"), ConfigError, "the gate blessed it"),
        (changed(champion="version 5"), EvaluationError, "compared with version 5, and now pre-"),
        (another_version, EvaluationError, "and now version 7 is served"),
        (lambda runs, _: runs.train_again("one"), EvaluationError, "another model was trained"),
        (not_blessed, ModelError, "did not pass the serving check"),
        (of_other_bytes, EvaluationError, "has other bytes than when it passed its serving check"),
        # the model's files are gone
        (
            lambda runs, _: shutil.rmtree(runs.config.work / "one" / "Model"),
            ModelError,
            "the model of run one is gone",
        ),
    ],
)
def test_what_is_never_pushed(runs, damage, error, words):
    damage(runs, runs.add("one"))
    served = served_versions(runs.config.serving)
    with pytest.raises(error, match=words):
        push_anyway(runs.config, BY, REASON)
    assert served_versions(runs.config.serving) == served
    assert runs.store.get_executions_by_type(OVERRIDE) == []


@pytest.mark.parametrize("node", sorted(NEEDED))
def test_a_run_that_is_not_whole_is_never_pushed(runs, node):
    runs.add("one", **{node: pb.Execution.FAILED})
    with pytest.raises(EvaluationError, match=f"Run one: {node} did not end well"):
        push_anyway(runs.config, BY, REASON, "one")


@pytest.mark.parametrize("by", ["", "  ", "Ada\nLovelace", "A" * 3000])
def test_nobody_pushes_nothing(runs, by):
    runs.add("one")
    with pytest.raises(ConfigError, match="--by must be one line"):
        push_anyway(runs.config, by, REASON)
    with pytest.raises(ConfigError, match="--reason must be one line"):
        push_anyway(runs.config, BY, by)


def test_without_runs_there_is_nothing_to_push(runs):
    with pytest.raises(EvaluationError, match="No run of runs_test has reached its gate"):
        push_anyway(runs.config, BY, REASON)
    runs.add("one", RecallGate=pb.Execution.FAILED)
    with pytest.raises(EvaluationError, match="No run of runs_test has reached its gate"):
        push_anyway(runs.config, BY, REASON)


def test_nothing_is_pushed_twice(runs):
    runs.add("one")
    first = push_anyway(runs.config, BY, REASON)
    with pytest.raises(ConfigError, match=f"pushed already, as {first}"):
        push_anyway(runs.config, BY, REASON)
    assert len(served_versions(runs.config.serving)) == 1
    shutil.rmtree(first)  # rolled back: the champion is what it was
    push_anyway(runs.config, BY, "Once more.")
    verdict = json.loads((runs.config.work / "verdict.json").read_text())
    assert verdict["override"]["reason"] == "Once more."


def test_a_push_that_can_not_be_recorded_serves_nothing(runs, monkeypatch):
    runs.add("one")

    def fail(*_):
        raise RuntimeError("the database is away")

    monkeypatch.setattr("pipelines.override.record_push", fail)
    with pytest.raises(RuntimeError):
        push_anyway(runs.config, BY, REASON)
    assert list(runs.config.serving.glob("[!.]*")) == []


def test_of_two_pushes_of_a_run_at_once_one_is_served(runs):
    runs.add("one")
    with ThreadPoolExecutor(2) as pool:
        found = set(pool.map(lambda by: push_anyway(runs.config, by, REASON), (BY, "Bob")))
    assert [folder.name for folder in found] == [
        str(v) for v in served_versions(runs.config.serving)
    ]
    assert len(runs.store.get_executions_by_type(OVERRIDE)) == 1
