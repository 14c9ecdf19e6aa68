"""From a version back to the pre-trained model, with and without ML Metadata."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from classlift import cli
from classlift.errors import ConfigError, ModelError
from pipelines.config import load_config
from pipelines.lineage import render, trace
from pipelines.override import push_anyway
from pipelines.rollback import roll_back
from tests.pipelines.conftest import SOURCES, Runs, provenance_of
from tests.project import make_project

pytestmark = [pytest.mark.unit, pytest.mark.usefixtures("unloaded")]
BY = "Ada Lovelace"


@pytest.fixture(scope="module")
def told(tmp_path_factory, saved_model, unloaded) -> tuple[Runs, list[int], Path]:
    """The story as it happened once, and a copy of all that it left."""
    folder = tmp_path_factory.mktemp("story")
    runs = Runs(load_config(make_project(folder / "x", "runs_test").config), saved_model)
    runs.push("one", 5)
    runs.add("two")
    override = push_anyway(runs.config, BY, "The 3 is not used.")
    rollback = roll_back(runs.config, BY, "It is used after all.")
    last = runs.push("three", int(rollback.name) + 1)
    shutil.copytree(folder / "x", folder / "as it was")
    return runs, [int(last.name), int(rollback.name), int(override.name), 5], folder


@pytest.fixture
def story(told) -> tuple[Runs, list[int]]:
    """A push, an override, a rollback to the push, a push on top; the versions, newest first."""
    runs, versions, folder = told
    shutil.rmtree(folder / "x")
    shutil.copytree(folder / "as it was", folder / "x")
    return runs, versions


def test_a_version_goes_back_to_the_pre_trained_model(story):
    runs, (last, rollback, override, first) = story
    found = trace(runs.config).to_json()
    assert [known["version"] for known in found["versions"]] == [last, rollback, first]
    assert found["pretrained"] == "model"

    newest, again, oldest = found["versions"]
    assert newest["champion"] == f"version {rollback}"
    assert (newest["override"], newest["rollback"]) == (None, None)
    assert again["rollback"] == {
        "by": BY,
        "reason": "It is used after all.",
        "version": str(first),
        "replaced": str(override),
    }
    assert (again["run"], again["recipe"], again["override"]) == (None, None, None)
    assert oldest.pop("pushed") is not None
    carried = provenance_of("one").to_json()
    del carried["champion"]
    assert oldest == {
        "version": 5,
        **carried,
        "run": "one",
        "verdict": "push",
        "reasons": ["Class 3 regressed."],
        "champion": "pre-trained model",
        "test_uses": 1,
        "sources": SOURCES,
        "override": None,
        "approval": None,
        "rollback": None,
        "lost": None,
    }
    assert {known["lost"] for known in found["versions"]} == {None}


def test_a_version_can_be_named(story):
    runs, (_, _, override, first) = story
    found = trace(runs.config, override).to_json()
    assert [known["version"] for known in found["versions"]] == [override, first]
    known = found["versions"][0]
    assert (known["run"], known["verdict"]) == ("two", "refuse")
    assert (known["override"]["by"], known["override"]["reason"]) == (BY, "The 3 is not used.")


def test_a_rollback_to_what_a_person_pushed_shows_both(story):
    runs, (*_, override, _) = story
    again = roll_back(runs.config, BY, "It is not.", override)
    rollback, pushed, _ = trace(runs.config).to_json()["versions"]
    assert (rollback["version"], pushed["version"]) == (int(again.name), override)
    assert (rollback["override"], pushed["rollback"]) == (None, None)
    assert pushed["override"]["run"] == "two"


def test_versions_that_were_removed_are_known_from_the_metadata(story):
    runs, (last, rollback, _, first) = story
    for version in (rollback, first):
        shutil.rmtree(runs.config.serving / str(version))
    found = trace(runs.config).to_json()
    assert [known["version"] for known in found["versions"]] == [last, rollback, first]
    assert [known["run"] for known in found["versions"]] == ["three", None, "one"]
    assert found["versions"][2]["snapshot"]["content_hash"] == "hash of one"  # handed down
    assert found["pretrained"] == "model"


def remove(database) -> None:
    database.unlink()


def overwrite(database) -> None:
    database.write_text("not a database, " * 100)


@pytest.mark.parametrize(
    ("lose", "words"),
    [(remove, "there is no ML Metadata"), (overwrite, "ML Metadata can't be read")],
)
def test_without_metadata_versions_speak_for_themselves(story, lose, words):
    runs, (last, rollback, _, first) = story
    lose(runs.config.work / "metadata.db")
    found = trace(runs.config).to_json()
    assert [known["version"] for known in found["versions"]] == [last, rollback, first]
    assert all(words in known["lost"] for known in found["versions"])
    newest, again, oldest = found["versions"]
    assert again["rollback"]["by"] == BY
    assert oldest["recipe"]["steps"] == 600
    assert newest["snapshot"]["content_hash"] == "hash of three"
    assert (newest["run"], newest["verdict"], found["pretrained"]) == (None, None, None)


def test_what_nobody_has_any_more_is_shown_without_a_number(story):
    runs, (last, *others) = story
    (runs.config.work / "metadata.db").unlink()
    for version in others:
        shutil.rmtree(runs.config.serving / str(version))
    numbers = [known["version"] for known in trace(runs.config).to_json()["versions"]]
    assert numbers == [last, None, 5]  # the rollback's number is lost, what it served is not


def test_an_evaluation_that_is_gone_leaves_the_rest(story):
    runs, (last, rollback, _, first) = story
    shutil.rmtree(runs.config.work / "three" / "ModelEvaluation")
    found = trace(runs.config).to_json()
    assert [known["version"] for known in found["versions"]] == [last, rollback, first]
    newest = found["versions"][0]
    assert (newest["run"], newest["verdict"]) == ("three", None)
    assert "verdict.json: it can't be read" in newest["lost"]


def test_a_version_that_was_copied_by_hand_is_no_secret(story):
    runs, (last, *_) = story
    shutil.copytree(runs.config.serving / "5", runs.config.serving / str(last + 9))
    [known] = trace(runs.config).to_json()["versions"]
    assert known["lost"].startswith(f"ML Metadata knows nothing of version {last + 9}. This is")
    assert known["snapshot"]["content_hash"] == "hash of one"


def test_a_damaged_version_is_named(story):
    runs, (last, rollback, _, first) = story
    for version in (last, first):
        (runs.config.serving / str(version) / "assets.extra" / "provenance.json").write_text("{")
    with pytest.raises(
        ModelError, match=f"version {last} is damaged .*roll back to version {rollback}"
    ):
        trace(runs.config)
    known, before = trace(runs.config, rollback).to_json()["versions"]
    assert (known["lost"], before["version"]) == (None, first)
    assert before["lost"].startswith("It is damaged: assets.extra/provenance.json has 1 bytes of ")
    assert before["snapshot"]["content_hash"] == "hash of one"  # the copy has it too


def test_a_version_that_claims_to_come_from_itself_is_named(story):
    runs, (_, rollback, _, first) = story
    (runs.config.work / "metadata.db").unlink()
    shutil.rmtree(runs.config.serving / str(first))
    shutil.copytree(runs.config.serving / str(rollback), runs.config.serving / str(first))
    with pytest.raises(ModelError, match="5: this version claims to come from itself"):
        trace(runs.config)


def test_what_is_not_served_has_no_lineage(runs):
    with pytest.raises(ConfigError, match="nothing is served yet"):
        trace(runs.config)
    runs.push("one", 5)
    with pytest.raises(ConfigError, match="there is no version 4; there are: 5"):
        trace(runs.config, 4)


def test_it_reads_as_a_story(story):
    runs, (last, rollback, override, first) = story
    found = trace(runs.config)
    when = "2026-11-24T03:35:48+00:00"
    assert (
        render(replace(found, versions=tuple(replace(v, pushed=when) for v in found.versions)))
        == f"""\
version {last}
  pushed    2026-11-24T03:35:48+00:00
  run       three
  verdict   push
            Class 3 regressed.
  against   version {rollback}
  test set  use number 1
  target    8
  recipe    freeze_policy target-branch, steps 600
  rebalance method repeat_factor
  snapshot  hash of three
            20 images, 60 boxes
  sources   path new/annotations.json, split train
  code      c0de

version {rollback}
  serves    version {first} again, in place of {override}
  pushed    2026-11-24T03:35:48+00:00
  by        Ada Lovelace: It is used after all.

version {first}
  pushed    2026-11-24T03:35:48+00:00
  run       one
  verdict   push
            Class 3 regressed.
  against   pre-trained model
  test set  use number 1
  target    8
  recipe    freeze_policy target-branch, steps 600
  rebalance method repeat_factor
  snapshot  hash of one
            20 images, 60 boxes
  sources   path new/annotations.json, split train
  code      c0de

pre-trained model model"""
    )


def test_the_command(story, monkeypatch, capsys):
    runs, (_, rollback, override, _) = story
    words = ["classlift", "lineage", "--config", str(runs.config.path)]
    monkeypatch.setattr(sys, "argv", words)
    assert cli.main() == 0
    assert f"against   version {rollback}" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*words, str(override), "--json"])
    assert cli.main() == 0
    assert json.loads(capsys.readouterr().out)["versions"][0]["version"] == override
    (runs.config.work / "metadata.db").unlink()
    monkeypatch.setattr(sys, "argv", words)
    assert cli.main() == 0
    assert "there is no ML Metadata" in " ".join(capsys.readouterr().out.split())


def test_two_runs_are_shown_side_by_side(story, monkeypatch, capsys):
    runs, _ = story

    def compared(*words: str) -> tuple[int, str, str]:
        config = ["--config", str(runs.config.path)]
        monkeypatch.setattr(sys, "argv", ["classlift", "compare", *words, *config])
        return cli.main(), *capsys.readouterr()

    code, out, _ = compared("one", "two")
    assert code == 0
    assert out.startswith("one: Push")
    assert "\ntwo: Refused" in out
    assert "Differs: champion: " in out
    assert json.loads(compared("one", "two", "--json")[1])["runs"] == ["one", "two"]
    code, _, err = compared("one", "tow")
    assert code == 78
    assert "has no run 'tow' (did you mean 'two'?)" in err
