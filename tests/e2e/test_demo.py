"""The real thing: scenes, TFX, the OD API, Airflow, one after the other on one project.

The tests stand in the order in which a user would meet what they show.
"""

import json
import re
import subprocess
import sys

import jsonschema
import pytest

from tests.project import ROOT

SCHEMA = ROOT / "docs" / "reference" / "verdict.schema.json"
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2400)]


def test_the_demo_ends_with_a_push(demo):
    project, result = demo
    assert result.returncode == 0, result.stdout[-3000:]
    verdict = project.verdict()
    target = verdict["classes"]["8"]
    assert verdict["verdict"] == "push", verdict["reasons"]
    assert target["status"] == "lifted"
    assert target["lift"] >= 0.25
    assert target["lower_bound"] > 0.18
    assert {c["status"] for c in verdict["classes"].values()} == {"lifted", "unchanged"}
    jsonschema.validate(verdict, json.loads(SCHEMA.read_text()))
    for label, found in verdict["classes"].items():  # as production sees them
        served = found["served"]
        moved = [name for name, pair in served.items() if pair["before"] != pair["after"]]
        assert bool(moved) == (label == "8"), (label, served)
    recall = verdict["recall"]
    assert recall["as_deployed"] < recall["recalibrated"] < recall["trained"]
    assert len(project.versions()) == 1
    version = project.folder / "served" / project.versions()[0]
    assert verdict["pushed"] == str(version)
    before = json.loads((ROOT / "demo" / "model" / "operating_points.json").read_text())
    after = json.loads((version / "assets.extra" / "operating_points.json").read_text())
    assert {c for c in before if before[c] != after[c]} == {"8"}


def test_it_says_what_it_does(demo):
    project, result = demo
    for node in project.outcomes():
        ended = rf"^ *\d+\.\d s  \[\d+/14\] {node}: (done|skipped) in "
        assert re.search(ended, result.stdout, re.MULTILINE)
    assert re.search(r"Trainer: step \d+/\d+, .*images/s, \d+ s left", result.stdout)
    assert re.search(r"^8 +\d+ +0\.\d{3} .* lifted <$", result.stdout, re.MULTILINE)
    assert re.search(r"^all +\d+ +\d+$", result.stdout, re.MULTILINE)  # false alarms
    assert str(project.work / "report.html") in result.stdout
    assert "Traceback" not in result.stdout


def test_the_report_needs_no_network(demo):
    project, _ = demo
    html = (project.work / "report.html").read_text()
    assert len(html) < 2_000_000
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", html)
    assert "url(http" not in html
    for part in (
        "What production sees",
        "found now",
        "lost now",
        "Confusion",
        "Precision and recall",
        "Kinds of error",
    ):
        assert part.lower() in html.lower()


CLEAN = """
import sys
for name in ("components", "pipelines", "object_detection", "tf_keras", "keras", "tfx"):
    sys.modules[name] = None  # importing it is an error
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
answer = model.signatures["serving_default"](tf.zeros([8, 128, 128, 3], tf.uint8))
print(answer["detection_boxes"].shape)
"""


def test_the_pushed_model_answers_eight_images_alone(demo):
    project, _ = demo
    version = project.folder / "served" / project.versions()[0]
    result = subprocess.run(
        [sys.executable, "-I", "-c", CLEAN, str(version)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "(8, 70, 4)"  # 20 for the branch


def test_the_lineage_of_the_pushed_model(demo):
    project, _ = demo
    words = ["classlift", "lineage", "--config", str(project.config)]
    result = project.command(*words)
    assert result.returncode == 0, result.stdout
    [run] = project.runs()
    assert re.search(rf"^  run +{re.escape(run)}$", result.stdout, re.MULTILINE)
    assert re.search(r"^  verdict +push$", result.stdout, re.MULTILINE)
    assert project.verdict()["snapshot"] in result.stdout
    [known] = json.loads(project.command(*words, "--json").stdout)["versions"]
    assert str(known["version"]) == project.versions()[0]
    assert known["champion"] == "pre-trained model"
    assert known["lost"] is None


def test_a_second_run_comes_from_the_cache_and_pushes_nothing(demo):
    project, _ = demo
    versions = project.versions()
    result = project.demo()
    assert result.returncode == 0, result.stdout[-3000:]
    assert set(project.outcomes().values()) == {"cached"}
    assert project.versions() == versions
    assert "nothing is pushed twice" in result.stdout
    verdict = project.verdict()
    assert (verdict["verdict"], verdict["test_uses"]) == ("push", 1)


@pytest.mark.parametrize("node", ["Trainer", "RecallGate", "Pusher"])
def test_a_node_does_not_run_before_what_it_needs(demo, node):
    """A Pusher without its gate would push an unvalidated model."""
    project, _ = demo
    versions = project.versions()
    compiled = str(project.compiled / "demo_test")
    words = ["pipelines.run_node", "--compiled", compiled, "--node", node, "--run-id", "alone"]
    result = project.command(*words)
    assert result.returncode == 78
    assert re.search(rf"{node}: stopped: Run alone: {node} can't start", result.stdout)
    assert project.versions() == versions
