"""Every backend goes through the whole pipeline, on a small data set, to a verdict; what is refused
may be pushed by a person, taken back, and cleaned away.

KerasHub's data and versions are in a bucket. The tests stand in the order in which they use the
runs.
"""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml
from pyarrow.fs import FileSelector, S3FileSystem

from classlift.data.label_map import LabelMap
from demo import scenes
from tests.bucket_server import S3, bucket, bucket_server, upload
from tests.classlift.detectors.models import write_faster_rcnn
from tests.project import Project, make_project

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2400)]
BUCKET = "our-bucket"
SERVED = f"{BUCKET}/served/digits"


def faster_rcnn(project, labels):
    return "od_api", write_faster_rcnn(project.folder / "model", labels)


def retinanet(project, labels):
    folder, label_map = project.folder / "model", project.folder / "labels.pbtxt"
    labels.write(label_map)
    words = ["--small", "retinanet", "--size", "64", "--labels", str(label_map), str(folder)]
    result = project.command("classlift", "new-model", *words)
    assert result.returncode == 0, result.stdout
    return "keras_hub", folder


@pytest.fixture(scope="module")
def objects(tmp_path_factory) -> Iterator[S3FileSystem]:
    """The objects of an S3 server, which is found in the environment."""
    if not S3.exists():
        pytest.skip("`make test` installs the server")
    log = tmp_path_factory.mktemp("server") / "log"
    with bucket_server(log) as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        system = bucket(environment)
        system.create_dir(BUCKET)
        yield system


@pytest.fixture(scope="module", params=[faster_rcnn, retinanet])
def refused(request, tmp_path_factory) -> tuple[Project, CompletedProcess]:
    """A run whose model has random weights and trains for three steps: the gate has to refuse."""
    project = make_project(tmp_path_factory.mktemp("backend"), "backend_test")
    for split in (scenes.OLD, scenes.NEW, scenes.EVAL, scenes.TEST):
        scenes.write_split(split, project.folder / "data" / split.name, 60)
    backend, model = request.param(project, LabelMap(scenes.CLASSES))
    document = yaml.safe_load(project.config.read_text())
    document["model"] = {"path": str(model), "backend": backend}
    document["recipe"] = {"steps": 3, "batch_size": 2}
    if backend == "od_api":
        document["target"] = ["8", "3"]
    else:
        upload(request.getfixturevalue("objects"), project.folder / "data", f"{BUCKET}/data")
        shutil.rmtree(project.folder / "data")
        document["data"]["root"], document["serving"] = f"s3://{BUCKET}/data", f"s3://{SERVED}"
    project.config.write_text(yaml.safe_dump(document))
    temporary(project).mkdir()
    return project, run(project, TMPDIR=str(temporary(project)))


def temporary(project: Project) -> Path:
    """The folder for temporary files that a run is given."""
    return project.folder / "temporary"


def versions(objects: S3FileSystem) -> list[str]:
    """The versions that a server finds in the bucket."""
    found = objects.get_file_info(FileSelector(SERVED, allow_not_found=True))
    return sorted(info.base_name for info in found if info.base_name.isdecimal())


def run(project: Project, *words: str, **variables: str) -> CompletedProcess:
    return project.command("classlift", "run", "--config", str(project.config), *words, **variables)


def test_a_run_ends_with_a_verdict(refused):
    project, result = refused
    assert result.returncode == 0, result.stdout
    assert project.verdict()["verdict"] == "refuse"
    assert project.versions() == []
    assert "can have a head of its own" not in result.stdout  # so no other policy was chosen
    several = yaml.safe_load(project.config.read_text())["model"]["backend"] == "od_api"
    assert [other["target"] for other in project.verdict().get("beside", ())] == ["3"] * several
    outcomes = project.outcomes()
    assert outcomes["Trainer"] == outcomes["ServingCheck"] == "done"
    assert outcomes["Pusher"] == "skipped"
    assert not list(temporary(project).iterdir())


@pytest.mark.parametrize("refused", [retinanet], indirect=True)
@pytest.mark.parametrize(
    ("asked", "runs_again"),
    [
        ("min_lift=0.5", {"RecallGate"}),
        (
            "learning_rate=0.0001",
            {"ClassDiagnoser", "Trainer", "ChallengerDetect", "RecallGate", "ServingCheck"},
        ),
    ],
)
def test_only_what_reads_a_changed_value_runs_again(refused, asked, runs_again, tmp_path):
    """What is judged is the same model; the diagnosis writes the recipe, and so the rate."""
    project, _ = refused
    variables = {}
    if runs_again == {"RecallGate"}:  # what is cached, and the gate, import no TensorFlow
        (tmp_path / "tensorflow.py").write_text("raise ImportError('no TensorFlow')")
        variables["PYTHONPATH"] = str(tmp_path)
    result = run(project, "--set", asked, **variables)
    assert result.returncode == 0, result.stdout
    outcomes = project.outcomes()
    assert outcomes.pop("Pusher") == "skipped"  # it looked, and the gate had refused
    assert {node for node, outcome in outcomes.items() if outcome != "cached"} == runs_again
    assert project.verdict()["settings"]["min_lift"] == (0.5 if "min_lift" in asked else 0.05)


@pytest.mark.parametrize("refused", [retinanet], indirect=True)
def test_a_person_may_push_it_all_the_same(refused, objects):
    project, _ = refused
    words = ["classlift", "push", "--config", str(project.config), "--by", "Ada Lovelace"]
    result = project.command(*words, "--reason", " ")
    assert result.returncode == 78
    assert "--reason must be one line" in result.stdout
    assert versions(objects) == []

    result = project.command(*words, "--reason", "The 3 is not used in production.")
    assert result.returncode == 0, result.stdout
    [version] = versions(objects)
    assert result.stdout.splitlines()[-1] == f"s3://{SERVED}/{version}"
    destination = project.work / "mirror" / "s3" / SERVED / version
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
    [pushed] = json.loads(project.command(*words).stdout)["versions"]
    assert str(pushed["version"]) == version
    assert pushed["override"] == verdict["override"]


@pytest.mark.parametrize("refused", [retinanet], indirect=True)
def test_what_was_served_before_is_served_again(refused, objects):
    project, _ = refused
    [replaced] = versions(objects)
    served, before = project.work / "mirror" / "s3" / SERVED, str(int(replaced) - 1)
    upload(objects, served / replaced, f"{SERVED}/{before}")
    words = ["classlift", "rollback", "--config", str(project.config)]
    words += ["--by", "Ada Lovelace", "--reason", "The 3 is used after all."]
    result = project.command(*words)
    assert result.returncode == 0, result.stdout
    [version] = set(versions(objects)) - {before, replaced}
    assert result.stdout.splitlines()[-1] == f"s3://{SERVED}/{version}"
    paths = [f"{SERVED}/{v}/saved_model.pb" for v in (before, version)]
    models = [objects.open_input_file(path).readall() for path in paths]
    assert models[0] == models[1]
    words = ["classlift", "lineage", "--config", str(project.config)]
    result = project.command(*words)
    assert result.returncode == 0, result.stdout
    assert f"serves    version {before} again, in place of {replaced}" in result.stdout


@pytest.mark.parametrize("refused", [retinanet], indirect=True)
def test_old_runs_can_go_and_what_is_served_and_known_of_it_stays(refused, objects):
    project, _ = refused
    words = ["classlift", "lineage", "--config", str(project.config), "--json"]
    shutil.rmtree(project.work / "mirror")  # what is served is fetched again
    served, known = versions(objects), project.command(*words).stdout.splitlines()[-1]
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
    assert versions(objects) == served
    assert project.command(*words).stdout.splitlines() == [known]  # and nothing is fetched
    result = project.command(*clean, "--versions", "2", "--days", "0", "--yes")
    assert result.returncode == 0, result.stdout
    assert f"removed s3://{SERVED}/{served[0]}" in result.stdout
    assert versions(objects) == served[1:]
