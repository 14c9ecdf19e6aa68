"""The real thing: scenes, TFX, the OD API, Airflow, one after the other on one project.

The tests stand in the order in which a user would meet what they show.
"""

import json
import re
import sqlite3
import subprocess
import sys

import jsonschema
import pytest

from tests.project import ROOT

SCHEMA = ROOT / "docs" / "reference" / "verdict.schema.json"
pytestmark = pytest.mark.e2e


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


def test_a_harmful_recipe_is_refused_and_the_push_skipped(demo):
    """Naive fine-tuning on the new data alone, with a weight on the target."""
    project, _ = demo
    versions = project.versions()
    result = project.demo(
        replay_share=0.0, freeze_policy="none", class_weight=10.0, learning_rate=0.003, steps=150
    )
    assert result.returncode == 0, result.stdout[-3000:]
    verdict = project.verdict()
    assert verdict["verdict"] == "refuse"
    assert "regressed" in {c["status"] for c in verdict["classes"].values()}
    assert any(re.match(r"Class \d regressed: its recall fell from", r) for r in verdict["reasons"])
    assert verdict["pushed"] is None
    assert verdict["test_uses"] == 2
    assert project.versions() == versions
    database = sqlite3.connect(project.work / "airflow" / "airflow.db")
    states = database.execute(
        "select ti.state from task_instance ti join dag_run r on r.run_id = ti.run_id "
        "where ti.task_id = 'Pusher' order by r.id desc limit 1"
    ).fetchall()
    assert states == [("skipped",)]


def test_a_person_may_push_it_all_the_same(demo):
    project, _ = demo
    versions = project.versions()
    words = ["classlift", "push", "--config", str(project.config), "--by", "Ada Lovelace"]
    result = project.command(*words, "--reason", " ")
    assert result.returncode == 78
    assert "--reason must be one line" in result.stdout
    assert project.versions() == versions

    result = project.command(*words, "--reason", "The 3 is not used in production.")
    assert result.returncode == 0, result.stdout
    [version] = set(project.versions()) - set(versions)
    destination = project.folder / "served" / version
    assert result.stdout.splitlines()[-1] == str(destination)
    verdict = project.verdict()
    assert verdict["pushed"] == str(destination)
    assert verdict["override"]["by"] == "Ada Lovelace"
    assert (verdict["verdict"], verdict["override"]["verdict"]) == ("refuse", "refuse")
    provenance = json.loads((destination / "assets.extra" / "provenance.json").read_text())
    assert provenance["override"] == verdict["override"]
    metadata = sqlite3.connect(project.work / "metadata.db")
    [recorded] = metadata.execute(
        "select p.string_value from ExecutionProperty p join Execution e on e.id = p.execution_id "
        "join Type t on t.id = e.type_id where t.name = 'ClassLiftOverride' and p.name = 'reason'"
    ).fetchall()
    assert recorded == ("The 3 is not used in production.",)

    result = project.command(*words, "--reason", "Again.")
    assert result.returncode == 78
    assert "it was pushed already" in result.stdout

    words = ["classlift", "lineage", "--config", str(project.config), "--json"]
    pushed, before = json.loads(project.command(*words).stdout)["versions"]
    assert (str(pushed["version"]), str(before["version"])) == (version, *versions)
    assert pushed["override"] == verdict["override"]


def test_what_was_served_before_is_served_again(demo):
    project, _ = demo
    before, replaced = project.versions()
    words = ["classlift", "rollback", "--config", str(project.config)]
    words += ["--by", "Ada Lovelace", "--reason", "The 3 is used after all."]
    result = project.command(*words)
    assert result.returncode == 0, result.stdout
    [version] = set(project.versions()) - {before, replaced}
    served = project.folder / "served"
    assert result.stdout.splitlines()[-1] == str(served / version)
    models = [(served / v / "saved_model.pb").read_bytes() for v in (before, version)]
    assert models[0] == models[1]
    words = ["classlift", "lineage", "--config", str(project.config)]
    result = project.command(*words)
    assert result.returncode == 0, result.stdout
    assert f"serves    version {before} again, in place of {replaced}" in result.stdout


def test_old_runs_can_go_and_what_is_served_and_known_of_it_stays(demo):
    project, _ = demo
    words = ["classlift", "lineage", "--config", str(project.config), "--json"]
    versions, known = project.versions(), json.loads(project.command(*words).stdout)
    clean = ["classlift", "clean", "--config", str(project.config), "--keep", "1"]
    trainings = project.work / "pipeline" / "Trainer" / "model"
    before = len(list(trainings.iterdir()))
    result = project.command(*clean)
    assert result.returncode == 0, result.stdout
    assert "nothing is removed yet" in result.stdout
    assert len(list(trainings.iterdir())) == before
    result = project.command(*clean, "--yes")
    assert result.returncode == 0, result.stdout
    assert len(list(trainings.iterdir())) < before
    assert project.versions() == versions
    assert json.loads(project.command(*words).stdout) == known


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
