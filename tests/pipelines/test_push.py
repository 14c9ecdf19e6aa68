"""The Pusher of a compiled pipeline, on a real metadata store: what it serves, and when nothing."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from classlift import own_folders
from classlift.colour import to_text
from classlift.errors import ModelError
from classlift.own_folders import MARK
from classlift.serving.bundle import Bundle
from classlift.serving.folder import damage, served_versions
from classlift.serving.manifest import Manifest
from classlift.serving.places import LOCK
from classlift.serving.provenance import Provenance, Signature
from pipelines.config import load_config
from pipelines.lineage import trace
from pipelines.metadata import PUSHED_MODEL, connection_to, initialise
from pipelines.override import push_anyway
from pipelines.places import RUNS
from pipelines.rollback import roll_back
from pipelines.summary import render, summarise
from tests.pipelines.conftest import Runs, run_of
from tests.project import ROOT, Project, clean_environment, make_project

pytestmark = pytest.mark.pipeline
FAR = 202611270330  # a version whose number is a date: above the clock
APPROVAL = {"by": "Ada Lovelace", "reason": "I have seen its errors."}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """A compiled config."""
    made = make_project(tmp_path_factory.mktemp("push"), "push_test")
    result = made.command("classlift", "compile", "--config", str(made.config))
    assert result.returncode == 0, result.stdout
    return made


@pytest.fixture
def ready(project, saved_model) -> Iterator[Runs]:
    """Its runs, the first, `one`, blessed and compared with the version served."""
    config = load_config(project.config)
    initialise(connection_to(config.work))
    runs = Runs(config, saved_model)
    runs.push("zero", FAR)
    runs.add("one", "push")
    runs.resolve_champion("one")
    evaluation = own_folders.make(config.work / RUNS, own_folders.RUNS) / "one" / "evaluation"
    shutil.copytree(config.work / "one" / "ModelEvaluation", evaluation)
    yield runs
    for name in served(runs):
        shutil.rmtree(config.serving / name)
    for name in ("zero", "half", "one", "two", "runs"):
        shutil.rmtree(config.work / name, ignore_errors=True)
    (config.work / "metadata.db").unlink()


def served(runs: Runs) -> list[str]:
    """What is in the serving folder but for what is hidden of us."""
    names = os.listdir(runs.config.serving)
    return sorted(name for name in names if name != MARK and not name.startswith(LOCK))


def words(project: Project, run: str, node: str = "Pusher") -> list[str]:
    compiled = str(project.compiled / "push_test")
    return ["pipelines.run_node", "--compiled", compiled, "--node", node, "--run-id", run]


def test_what_both_blessed_is_served_and_recorded(project, ready):
    config = ready.config
    answer = json.dumps(APPROVAL)
    result = project.command(*words(project, "one"), CLASSLIFT_APPROVAL=answer)
    assert result.returncode == 0, result.stdout
    assert "Pusher: loading the copy in a clean process" in result.stdout
    assert served_versions(config.serving) == [FAR, FAR + 1]  # not below what was served
    version = config.serving / str(FAR + 1)
    assert (run_of(version), damage(version)) == ("one", None)

    # who approved, everywhere
    assert Bundle(version).provenance().approval == Signature(**APPROVAL)
    found = ready.store.get_artifacts_by_type(PUSHED_MODEL)
    pushed = max(found, key=lambda artifact: artifact.id).custom_properties
    assert pushed["pushed"].int_value == 1
    assert pushed["pushed_destination"].string_value == str(version)
    assert pushed["pushed_version"].string_value == version.name
    assert pushed["approval_by"].string_value == APPROVAL["by"]
    assert pushed["approval_reason"].string_value == APPROVAL["reason"]
    copy = config.work / "runs" / "one" / "evaluation" / "verdict.json"
    noted = json.loads(copy.read_text())
    assert (noted["pushed"], noted["pushed_by_run"]) == (str(version), "one")
    assert noted["approval"] == APPROVAL
    newest, *_ = trace(config).to_json()["versions"]
    assert (newest["run"], newest["approval"]) == ("one", APPROVAL)
    summary = summarise(config, "one")
    assert summary.verdict.outcome.approval == Signature(**APPROVAL)
    text = to_text(render(summary))
    assert f"Pushed:  {version}, approved by Ada Lovelace: I have seen its errors.\n" in text
    assert f"Served:  version {version.name}, approved by Ada Lovelace: I have" in text

    # A run from the cache pushes nothing twice, and says what is served.
    ready.add_from_cache("two", "one")
    result = project.command(*words(project, "two"))
    assert result.returncode == 0, result.stdout
    assert f"{version} was pushed before, and is served; nothing is pushed twice" in result.stdout
    result = project.command("classlift", "report", "--config", str(project.config))
    assert result.returncode == 0, result.stdout
    assert result.stdout.startswith("Run two, class ")  # nobody summarised it, as in Airflow
    assert (
        f"Pushed:  nothing; run one pushed this model, as version {version.name}" in result.stdout
    )
    text = to_text(render(summarise(config, "two")))
    assert f"Pushed:  nothing; run one pushed this model, as version {version.name}" in text

    again = roll_back(config, "Bob", "It misses all bikes.")
    served = f"version {again.name}, since the rollback by Bob: It misses all bikes."
    ready.add_from_cache("three", "one")
    result = project.command(*words(project, "three"))
    assert result.returncode == 99, result.stdout
    assert f"pushed earlier, as version {version.name}, and nothing is pushed tw" in result.stdout
    assert f"served now is {served}" in result.stdout
    summary = summarise(config, "three")
    assert summary.verdict.outcome.served == served
    text = to_text(render(summary))
    assert f"Pushed:  nothing; run one pushed this model, as version {version.name}" in text
    assert f"Served:  {served}" in text
    assert len(served_versions(config.serving)) == 3


def test_a_rollback_between_gate_and_push_wins(project, ready):
    ready.push("half", FAR + 1)
    ready.add("two", "push")
    ready.resolve_champion("two")
    again = roll_back(ready.config, "Bob", "It misses all bikes.")
    before = served_versions(ready.config.serving)
    result = project.command(*words(project, "two"))
    assert result.returncode == 78
    assert (
        f"Pusher: stopped: Run two: its challenger was compared with version {FAR + 1}, and now "
        f"version {again.name} is served, so nothing is pushed" in result.stdout
    )
    assert "Traceback" not in result.stdout
    assert served_versions(ready.config.serving) == before


KILLED = """
import os, signal, sys
from classlift.serving import publish as module

real = module.publish
def publish(*arguments, **named):
    real(*arguments, **named)
    os.kill(os.getpid(), signal.SIGKILL)
module.publish = publish
from pipelines import run_node
sys.exit(run_node.main())
"""


def test_a_push_that_was_killed_before_its_record_is_not_done_twice(project, ready):
    variables = {**clean_environment(), "CLASSLIFT_COMPILED": str(project.compiled)}
    command = [sys.executable, "-c", KILLED, *words(project, "one")[1:]]
    assert subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode == -9
    assert served_versions(ready.config.serving) == [FAR, FAR + 1]

    result = project.command(*words(project, "one"))
    assert result.returncode == 0, result.stdout
    assert "an earlier attempt ended before it could say so" in result.stdout
    assert served_versions(ready.config.serving) == [FAR, FAR + 1]
    assert trace(ready.config).versions[0].run == "one"


def test_a_push_that_is_stopped_leaves_nothing(project, ready):
    process = subprocess.Popen(
        [sys.executable, "-m", *words(project, "one")],
        cwd=ROOT,
        env={**clean_environment(), "PYTHONUNBUFFERED": "1"},
        text=True,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            if "loading the copy" in line:
                process.send_signal(signal.SIGTERM)
    assert process.returncode == 143
    assert served(ready) == [str(FAR)]


def of_no_model(runs: Runs) -> None:
    (runs.config.work / "one" / "Model" / "Format-Serving" / "saved_model.pb").unlink()


CUT = "variables/variables.data-00000-of-00001"


def of_half_a_model(runs: Runs, run: str = "one") -> None:
    path = runs.config.work / run / "Model" / "Format-Serving" / CUT
    path.write_bytes(path.read_bytes()[:5])


def of_another_verdict(runs: Runs) -> None:
    path = runs.config.work / "one" / "ModelEvaluation" / "verdict.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "verdict": "refuse"}))


def test_what_a_person_has_served_is_loaded_too(ready):
    ready.add("two")
    of_half_a_model(ready, "two")
    serving = ready.config.serving
    with pytest.raises(ModelError, match="the model of run two does not answer in a clean process"):
        push_anyway(ready.config, "Bob", "I like it.", "two")

    ready.push("half", FAR + 1)
    Bundle(serving / str(FAR)).write_provenance(Provenance())
    path = serving / str(FAR) / CUT
    path.write_bytes(path.read_bytes()[:5])
    Manifest.of(serving / str(FAR)).write(serving / str(FAR))  # it was pushed like this
    before = served(ready)
    with pytest.raises(ModelError, match=f"version {FAR} does not answer in a clean process: "):
        roll_back(ready.config, "Bob", "I liked it.")
    assert served(ready) == before


def not_blessed(kind: str):
    def damage(runs: Runs) -> None:
        store = runs.store
        blessing = max(store.get_artifacts_by_type(kind), key=lambda artifact: artifact.id)
        blessing.custom_properties["blessed"].int_value = 0
        store.put_artifacts([blessing])

    return damage


@pytest.mark.parametrize(
    ("harm", "code", "said", "approval"),
    [
        (not_blessed("ModelBlessing"), 99, "nothing is pushed, for the gate did not bless", ""),
        (not_blessed("InfraBlessing"), 99, "nothing is pushed", ""),
        (of_another_verdict, 78, "blessing and its verdict, refuse, contradict each other", ""),
        (of_no_model, 78, "the model of run one is gone: it has no saved_model.pb", ""),
        (of_half_a_model, 78, "the model of run one does not answer in a clean process: ", ""),
        (
            lambda _: None,
            78,
            "The reason of who approved must be one line",
            '{"by": "A", "reason": ""}',
        ),
        (lambda _: None, 78, "CLASSLIFT_APPROVAL must be JSON with `by` and `reason`", "[]"),
    ],
)
def test_what_is_never_pushed(project, ready, harm, code, said, approval):
    harm(ready)
    result = project.command(*words(project, "one"), CLASSLIFT_APPROVAL=approval)
    assert result.returncode == code, result.stdout
    assert said in result.stdout
    assert not re.search("^Traceback", result.stdout, re.MULTILINE)
    assert served(ready) == [str(FAR)]
