"""`classlift watch`: what stops it, and a real served version on a few real scenes."""

import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from classlift import cli
from classlift.errors import ConfigError, DataError, ModelError
from classlift.serving.manifest import Manifest
from pipelines.config import load_config
from pipelines.watch import watch
from tests.classlift.conftest import DEMO_MODEL, detector
from tests.pipelines.conftest import Runs, runs
from tests.project import Project, make_project

__all__ = ["detector", "runs"]
WATCH = {"source": {"path": "fresh/annotations.json"}, "floors": {"0": 0.5, "8": 0.9}}


def watching(project: Project, **watch: object) -> Path:
    """The project's config, which now watches."""
    document = yaml.safe_load(project.config.read_text())
    project.config.write_text(yaml.safe_dump({**document, "watch": {**WATCH, **watch}}))
    return project.config


@pytest.mark.unit
@pytest.mark.parametrize(
    ("is_watching", "is_served", "error", "words"),
    [
        (False, True, ConfigError, "config.yaml: it has no `watch`; name there the `source`"),
        (True, False, ConfigError, "served: nothing is served yet; run the pipeline first"),
        (True, True, DataError, "fresh/annotations.json"),  # no such file
    ],
)
def test_what_can_not_be_watched(runs: Runs, is_watching, is_served, error, words):
    if is_served:
        runs.push("one", 5)
    if is_watching:
        watching(Project(runs.config.work, runs.config.path))
    with pytest.raises(error, match=words):
        watch(load_config(runs.config.path))
    assert not (runs.config.work / "watch" / "series.jsonl").exists()


@pytest.mark.unit
def test_a_floor_of_a_class_that_is_not_served(runs: Runs):
    version = runs.push("one", 5)
    entry = version / "assets.extra"
    (entry / "label_map.pbtxt").write_text("item { id: 1 name: 'car' }")
    (entry / "operating_points.json").write_text('{"car": 0.5}')
    Manifest.of(version).write(version)
    path = watching(Project(runs.config.work, runs.config.path))
    with pytest.raises(
        ConfigError, match=r"watch.floors: version 5 has no class '0'; it has: car\."
    ):
        watch(load_config(path))


@pytest.mark.unit
def test_a_damaged_version_is_named(runs: Runs):
    runs.push("one", 5)
    (runs.push("two", 6) / "saved_model.pb").unlink()
    path = watching(Project(runs.config.work, runs.config.path))
    with pytest.raises(ModelError, match=r"version 6 is damaged .*; roll back to version 5 "):
        watch(load_config(path))


@pytest.mark.pipeline
def test_a_served_version_is_watched(tmp_path, detector):
    from classlift.serving.write import import_entry
    from demo import scenes

    project = make_project(tmp_path, "watch_test")
    config = watching(project)
    import_entry(detector, DEMO_MODEL, tmp_path / "served" / "7")
    fresh = tmp_path / "data" / "fresh"
    scenes.write_split(scenes.TEST, fresh, 60)
    watch = tmp_path / "work" / "watch"
    series, page = watch / "series.jsonl", watch / "watch.html"

    def run() -> tuple[int, str]:
        result = project.command("classlift", "watch", f"--config={config}", "--json")
        return result.returncode, result.stdout.splitlines()[-1]

    code, last = run()
    assert code == 0, last
    found = json.loads(last)
    assert found["fell"] == ["8"]  # the demo's weak class
    assert found["is_new"]
    assert (found["version"], found["images"]) == (7, 60)
    assert found["classes"]["0"]["recall"] > 0.8
    assert found["page"] == str(page)
    (record,) = map(json.loads, series.read_text().splitlines())
    assert record == {name: found[name] for name in record}
    html = page.read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", html)
    assert "Class 8 fell below its floor of 0.90" in html

    # The same version on the same labels: nothing is added, and the floors of today count.
    watching(project, floors={"8": 0.0})
    code, last = run()
    assert (code, json.loads(last)["fell"], json.loads(last)["is_new"]) == (0, [], False)
    assert len(series.read_text().splitlines()) == 1

    # Bad labels stop it.
    document = json.loads((fresh / "annotations.json").read_text())
    document["categories"][3]["name"] = "three"
    (fresh / "annotations.json").write_text(json.dumps(document))
    code, last = run()
    assert code == 78
    assert "of classes that are not in the label map: label 'three' in" in last
    assert str(tmp_path / "work" / "watch" / "validation" / "report.html") in last
    assert len(series.read_text().splitlines()) == 1


@pytest.mark.unit
def test_the_command_says_it_in_words(runs: Runs, monkeypatch, capsys):
    runs.push("one", 5)
    path = watching(Project(runs.config.work, runs.config.path))
    scenes = runs.config.data_root / "fresh"
    scenes.mkdir(parents=True)
    (scenes / "annotations.json").write_text("{")
    monkeypatch.setattr(sys, "argv", ["classlift", "watch", "--config", str(path)])
    assert cli.main() == 78
    assert "annotations.json: not valid JSON" in capsys.readouterr().err
