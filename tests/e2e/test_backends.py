"""Every backend goes through the whole pipeline, on a small data set, to a verdict."""

import pytest
import yaml

from classlift.data.label_map import LabelMap
from demo import scenes
from tests.classlift.detectors.models import write_faster_rcnn
from tests.project import make_project

pytestmark = pytest.mark.e2e


def faster_rcnn(project, labels):
    return "od_api", write_faster_rcnn(project.folder / "model", labels)


def retinanet(project, labels):
    folder, label_map = project.folder / "model", project.folder / "labels.pbtxt"
    labels.write(label_map)
    words = ["--small", "retinanet", "--size", "64", "--labels", str(label_map), str(folder)]
    result = project.command("pipelines.cli", "new-model", *words)
    assert result.returncode == 0, result.stdout
    return "keras_hub", folder


@pytest.mark.parametrize("make_model", [faster_rcnn, retinanet])
def test_a_run_ends_with_a_verdict(tmp_path, make_model):
    """Its weights are random and it trains for three steps: the gate has to refuse."""
    project = make_project(tmp_path, "backend_test")
    for split in (scenes.OLD, scenes.NEW, scenes.EVAL, scenes.TEST):
        scenes.write_split(split, project.folder / "data" / split.name, 60)
    backend, model = make_model(project, LabelMap(scenes.CLASSES))
    document = yaml.safe_load(project.config.read_text())
    document["model"] = {"path": str(model), "backend": backend}
    document["recipe"] = {"steps": 3, "batch_size": 2}
    project.config.write_text(yaml.safe_dump(document))
    result = project.command("pipelines.cli", "run", "--config", str(project.config))
    assert result.returncode == 0, result.stdout
    assert project.verdict()["verdict"] == "refuse"
    assert project.versions() == []
    assert "can have a head of its own" in result.stdout  # why the diagnosis chose another policy
    outcomes = project.outcomes()
    assert outcomes["Trainer"] == outcomes["ServingCheck"] == "done"
    assert outcomes["Pusher"] == "skipped"
