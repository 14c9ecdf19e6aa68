"""An older version is served again: which, by whom, why, and when nothing happens."""

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
from classlift.serving.folder import (
    champion_name,
    damage,
    newest_version,
    served_provenance,
    served_versions,
)
from classlift.serving.manifest import MANIFEST, Manifest
from classlift.serving.provenance import Rollback
from pipelines.metadata import ROLLBACK, connection_to, open_store, properties_of
from pipelines.override import push_anyway
from pipelines.rollback import roll_back
from tests.pipelines.conftest import Runs, provenance_of, run_of

pytestmark = [pytest.mark.unit, pytest.mark.usefixtures("unloaded")]
BY, REASON = "Ada Lovelace", "It misses all bikes."


@pytest.fixture
def two(runs) -> Runs:
    """Two versions, 5 and 6, pushed by the gate."""
    runs.push("one", 5)
    runs.push("two", 6)
    return runs


def model_of(runs: Runs) -> str:
    """The run that trained the model that is served."""
    return run_of(runs.config.serving / str(newest_version(runs.config.serving)))


def test_the_version_before_the_newest_is_served_again(two, caplog):
    config, destination = two.config, roll_back(two.config, f" {BY} ", REASON)
    record = {"by": BY, "reason": REASON, "version": "5", "replaced": "6"}

    # the next run's champion
    versions = served_versions(config.serving)
    assert versions == [5, 6, int(destination.name)]
    assert model_of(two) == "one"
    assert champion_name(versions, config.model) == f"version {destination.name}"
    assert served_provenance(config.serving) == replace(
        provenance_of("one"), rollback_of=Rollback(**record)
    )
    assert Bundle(destination).operating_points()["3"] == 0.3
    assert damage(destination) is None
    assert Bundle(config.serving / "5").provenance().rollback_of is None

    store = open_store(connection_to(config.work))
    [execution] = store.get_executions_by_type(ROLLBACK)
    assert properties_of(execution) == record
    events = store.get_events_by_execution_ids([execution.id])
    versions_by_event = {
        event.type: store.get_artifacts_by_id([event.artifact_id])[0]
        .custom_properties["pushed_version"]
        .string_value
        for event in events
    }
    assert versions_by_event == {pb.Event.INPUT: "5", pb.Event.OUTPUT: destination.name}


def test_a_second_rollback_undoes_the_first(two):
    roll_back(two.config, BY, REASON)
    assert model_of(two) == "one"
    roll_back(two.config, BY, "It was the camera.")
    assert model_of(two) == "two"


def test_a_version_can_be_named(two):
    two.push("three", 7)
    roll_back(two.config, BY, REASON, 5)
    assert model_of(two) == "one"


def test_what_a_person_pushed_can_be_served_again(two):
    two.add("three")
    pushed = push_anyway(two.config, BY, "Its errors are errors of the labels.")
    roll_back(two.config, BY, REASON)
    roll_back(two.config, BY, "They were not.", int(pushed.name))
    provenance = served_provenance(two.config.serving)
    assert provenance.override.run == "three"
    assert provenance.rollback_of.version == pushed.name


def test_a_version_from_before_there_were_manifests_is_served_again(two, caplog):
    (two.config.serving / "5" / MANIFEST).unlink()
    caplog.clear()
    copy = roll_back(two.config, BY, REASON)
    assert model_of(two) == "one"
    assert Manifest.read(copy) == Manifest.of(copy)
    assert caplog.messages[0].startswith("version 5 was pushed before versions had a manifest")


def test_the_last_whole_version_before_the_newest_is_meant(two, caplog):
    two.push("three", 7)
    cut("variables/variables.data-00000-of-00001", 6)(two)
    cut("saved_model.pb", 7)(two)  # the newest is damaged too: that is why somebody rolls back
    caplog.clear()
    roll_back(two.config, BY, REASON)
    assert model_of(two) == "one"
    assert caplog.messages[0] == "version 6 is damaged, so version 5 is served again"


@pytest.mark.parametrize("lost", [False, True])
def test_a_version_that_is_not_in_the_metadata_is_served_again(two, lost):
    database = two.config.work / "metadata.db"
    if lost:
        database.unlink()
    shutil.copytree(two.config.serving / "5", two.config.serving / "4")
    roll_back(two.config, BY, REASON, 4)
    store = open_store(connection_to(two.config.work))
    [execution] = store.get_executions_by_type(ROLLBACK)
    events = store.get_events_by_execution_ids([execution.id])
    assert [event.type for event in events] == [pb.Event.OUTPUT]


def test_rollbacks_at_once_get_versions_of_their_own(two):
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: roll_back(two.config, BY, REASON, 5), range(4)))
    assert len(found) == 4
    assert served_versions(two.config.serving) == [5, 6, *sorted(int(p.name) for p in found)]
    store = open_store(connection_to(two.config.work))
    assert len(store.get_executions_by_type(ROLLBACK)) == 4


def without(part: str):
    def damage(runs: Runs) -> None:
        path = runs.config.serving / "5" / part
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return damage


def cut(name: str, version: int = 5):
    def damage(runs: Runs) -> None:
        path = runs.config.serving / str(version) / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return damage


def one_bit_of(name: str):
    def damage(runs: Runs) -> None:
        path = runs.config.serving / "5" / name
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    return damage


def older(damage):
    """The same to a version that has no manifest."""

    def damage_both(runs: Runs) -> None:
        damage(runs)
        (runs.config.serving / "5" / MANIFEST).unlink()

    return damage_both


def only(*versions: int):
    def damage(runs: Runs) -> None:
        for version in {5, 6} - set(versions):
            shutil.rmtree(runs.config.serving / str(version))

    return damage


def no_metadata(runs: Runs) -> None:
    (runs.config.work / "metadata.db").write_text("not a database, " * 100)


def half_a_provenance(runs: Runs) -> None:
    path = runs.config.serving / "5" / "assets.extra" / "provenance.json"
    path.write_text(path.read_text()[:-20])


def nothing(_: Runs) -> None:
    """All is well."""


@pytest.mark.parametrize(
    ("damage", "to", "error", "words"),
    [
        (only(), None, ConfigError, "nothing is served yet"),
        (only(), 5, ConfigError, "nothing is served yet"),
        (only(6), None, ConfigError, "version 6 is the only one"),
        (nothing, 6, ConfigError, "version 6 is the one that is served now"),
        (nothing, 4, ConfigError, "there is no version 4; there are: 5, 6."),
        (nothing, -5, ConfigError, "there is no version -5"),
        (half_a_provenance, 5, ModelError, "version 5 is damaged .*provenance.json has 2"),
        (
            older(half_a_provenance),
            5,
            ModelError,
            r"version 5 is damaged \(.*/5/assets.extra/provenance.json: it is damaged",
        ),
        (without("saved_model.pb"), 5, ModelError, r"5 is damaged \(saved_model.pb is missing\)"),
        (without("assets.extra"), None, ModelError, r"5 is damaged \(it has no assets.extra\)"),
        (without("variables"), 5, ModelError, r"damaged \(variables/.* is missing\); put it back"),
        (cut("saved_model.pb"), 5, ModelError, r"damaged \(saved_model.pb has [\d,]+ bytes of"),
        (one_bit_of("variables/variables.data-00000-of-00001"), 5, ModelError, "has other bytes"),
        (cut("assets.extra/manifest.json"), 5, ModelError, "manifest.json is damaged"),
        (
            older(cut("variables/variables.data-00000-of-00001")),
            5,
            ModelError,
            "damaged .it does not answer in a clean process.*; put it back, or name another",
        ),
        (
            no_metadata,
            None,
            EvaluationError,
            r"metadata.db: ML Metadata can't be read \(.*; put it",
        ),
    ],
)
def test_what_can_not_be_served_again(two, damage, to, error, words):
    damage(two)
    folder = two.config.serving
    before = sorted(folder.rglob("*"))
    with pytest.raises(error, match=words):
        roll_back(two.config, BY, REASON, to)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("text", ["", "  ", "Ada\nLovelace", "A" * 3000])
def test_nobody_rolls_back_for_nothing(two, text):
    with pytest.raises(ConfigError, match="--by must be one line"):
        roll_back(two.config, text, REASON)
    with pytest.raises(ConfigError, match="--reason must be one line"):
        roll_back(two.config, BY, text)
    assert served_versions(two.config.serving) == [5, 6]


def test_a_rollback_that_can_not_be_recorded_serves_nothing(two, monkeypatch):
    def fail(*_):
        raise RuntimeError("the database is away")

    monkeypatch.setattr("pipelines.rollback.record_push", fail)
    with pytest.raises(RuntimeError):
        roll_back(two.config, BY, REASON)
    assert sorted(path.name for path in two.config.serving.glob("[!.]*")) == ["5", "6"]


def test_the_command_says_what_is_served_again(two, monkeypatch, capsys):
    words = ["rollback", "--config", str(two.config.path), "--by", BY, "--reason", REASON]
    monkeypatch.setattr(sys, "argv", ["classlift", *words, "--to", "5"])
    assert cli.main() == 0
    out, err = capsys.readouterr()
    assert out.strip() == str(
        max(two.config.serving.glob("[!.]*"), key=lambda path: int(path.name))
    )
    assert err.splitlines()[-1] == "served again: version 5, in place of 6"
    monkeypatch.setattr(sys, "argv", ["classlift", *words, "--to", "4"])
    assert cli.main() == 78
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["classlift", *words, "--to", "6", "--json"])
    assert cli.main() == 0
    said = json.loads(capsys.readouterr().out)
    assert said["folder"] == str(two.config.serving / str(said["version"]))
    assert Path(said["folder"]).is_dir()
