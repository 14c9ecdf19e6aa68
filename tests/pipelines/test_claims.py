"""No two configs share a name or a folder, and what a user keeps in `work` is never taken."""

import json
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from classlift import own_folders
from classlift.errors import ConfigError
from pipelines import airflow
from pipelines.claims import claim, claim_compiled, compiled_for
from tests.bucket_server import S3, bucket, bucket_server
from tests.classlift.test_own_folders import content_of

pytestmark = pytest.mark.unit


@dataclass(frozen=True)
class Owner:
    """A config of which nothing is asked but its name and its folders."""

    path: Path
    name: str
    work: Path
    serving: Path

    def write(self) -> "Owner":
        folders = {"work": str(self.work), "serving": str(self.serving)}
        self.path.write_text(yaml.safe_dump({"name": self.name, **folders}))
        return self

    def claim(self) -> None:
        claim(self.name, self.path, self.work, self.serving)


@pytest.fixture
def owner(tmp_path):
    return Owner(tmp_path / "a.yaml", "a", tmp_path / "work", tmp_path / "served").write()


def another(owner: Owner, **parts: object) -> Owner:
    folder = owner.path.parent
    own = {"path": folder / "b.yaml", "name": "b", "work": folder / "b", "serving": folder / "c"}
    return Owner(**{**own, **parts}).write()  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["work", "serving"])
def test_two_configs_never_share_a_folder(owner, key):
    owner.claim()
    owner.claim()  # its own it stays
    other = another(owner, **{key: getattr(owner, key)})
    before = content_of(owner.path.parent)
    with pytest.raises(ConfigError) as error:
        other.claim()
    sentence = f"{other.path} and {owner.path} have the same {key} ({getattr(owner, key)})"
    assert sentence in str(error.value)
    assert content_of(owner.path.parent) == before


def test_the_serving_of_one_is_no_work_of_another(owner):
    owner.claim()
    with pytest.raises(ConfigError, match=r"work: .*served is where ClassLift keeps its serving"):
        another(owner, work=owner.serving).claim()


def rename(owner: Owner) -> None:
    owner.path.rename(owner.path.with_name("gone.yaml"))


def name_others(owner: Owner) -> None:
    another(owner, path=owner.path, name="a")


@pytest.mark.parametrize("move", [rename, name_others])
def test_a_folder_goes_with_a_config_that_was_moved(owner, move, caplog):
    owner.claim()
    move(owner)
    other = another(owner, work=owner.work, serving=owner.serving)
    caplog.clear()
    other.claim()
    said = caplog.messages
    assert len(said) == 2
    assert f"{owner.work}: was of {owner.path}, which is gone or names another one now" in said[0]
    assert (own_folders.mark_of(owner.work) or {})["config"] == str(other.path)


def test_a_config_that_can_not_be_read_keeps_its_folders(owner):
    owner.claim()
    owner.path.write_text("work: [")
    with pytest.raises(ConfigError, match="have the same work"):
        another(owner, work=owner.work).claim()


def users_validation(work: Path) -> None:
    (work / "validation").mkdir(parents=True)
    (work / "validation" / "annotations.json").write_text("eval labels")
    (work / "validation" / "report.html").write_text("of the labelling")


def users_checkpoints(work: Path) -> None:
    (work / "checkpoints" / "deep").mkdir(parents=True)
    (work / "checkpoints" / "best.npz").write_text("weights")


def users_report(work: Path) -> None:
    work.mkdir()
    (work / "report.html").write_text("a user's")


def users_database(work: Path) -> None:
    work.mkdir()
    with sqlite3.connect(work / "metadata.db") as database:
        database.execute("CREATE TABLE photos (id)")


def users_memory(work: Path) -> None:
    (work / "memory").mkdir(parents=True)
    (work / "memory" / "splits.parquet").write_text("not ours")


def a_file_called_runs(work: Path) -> None:
    work.mkdir()
    (work / "runs").write_text("a log")


USERS = [
    users_validation,
    users_checkpoints,
    users_report,
    users_database,
    users_memory,
    a_file_called_runs,
]


@pytest.mark.parametrize("prepare", USERS)
def test_a_work_folder_with_a_users_files_where_runs_write_is_refused(owner, prepare):
    prepare(owner.work)
    before = content_of(owner.path.parent)
    with pytest.raises(ConfigError, match=r"nothing .*touched.*(?s:.)*move it away|Move it away"):
        owner.claim()
    assert content_of(owner.path.parent) == before


def test_a_folder_that_can_not_be_made_is_a_sentence(owner):
    (owner.path.parent / "a file").write_text("")
    (owner.path.parent / "circle").symlink_to("circle")
    for name in ("a file/state", "circle/state"):
        with pytest.raises(ConfigError, match=r"can't be made \(.*\); name another folder"):
            another(owner, path=owner.path, work=owner.path.parent / name).claim()


def test_what_runs_do_not_write_may_lie_in_work(owner):
    (owner.work / "photos").mkdir(parents=True)
    (owner.work / "photos" / "1.jpg").write_text("a photo")
    owner.claim()
    assert (owner.work / "photos" / "1.jpg").read_text() == "a photo"


def earlier_version(work: Path) -> None:
    """A work folder as a version left it that marked none of its folders."""
    digest = "0123456789abcdef" * 2
    for name in (
        "pipeline/Trainer/model/7/x",
        "memory/parts/1.images.parquet",
        "memory/splits.parquet",
        "memory/last/boxes.parquet",
        "validation/report.html",
        "validation/findings.json",
        "validation/data_docs/index.html",
        f"checkpoints/{digest}.npz",
        "features/lock",
        "features/0.npy",
        "runs/local__1/Trainer.log",
        "runs/local__1/evaluation/verdict.json",
        "watch/.lock",
        "watch/series.jsonl",
        "watch/memory/parts/1.images.parquet",
        "verdict.json",
        "report.html",
    ):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(name)


def test_the_work_folder_of_an_earlier_version_is_taken_over(owner, caplog):
    earlier_version(owner.work)
    before = content_of(owner.work)
    owner.claim()
    assert len(caplog.messages) == 8
    after = content_of(owner.work)
    marks = {name for name in after if Path(name).name == own_folders.MARK}
    assert {name: text for name, text in after.items() if name not in marks} == before
    assert own_folders.is_own(owner.work / "checkpoints", own_folders.CHECKPOINTS)
    assert own_folders.is_own(owner.work / "watch" / "memory", own_folders.MEMORY)
    owner.claim()
    assert len(caplog.messages) == 8  # once


def test_a_users_folder_in_the_work_folder_of_an_earlier_version_is_not(owner):
    earlier_version(owner.work)
    shutil.rmtree(owner.work / "validation")
    users_validation(owner.work)
    before = content_of(owner.work)
    with pytest.raises(ConfigError, match="validation: ClassLift keeps its validation report"):
        owner.claim()
    assert content_of(owner.work) == before


def test_compiled_forms_are_of_one_config(owner):
    folder = owner.path.parent / "compiled" / "a"
    claim_compiled(folder, "a", owner.path)
    (folder / "topology.json").write_text("ours")
    other = another(owner, name="a")
    with pytest.raises(ConfigError) as error:
        claim_compiled(folder, "a", other.path)
    assert f"{other.path} and {owner.path} have the same name (a)" in str(error.value)
    another(owner, path=owner.path, name="renamed")
    claim_compiled(folder, "a", other.path)
    assert compiled_for(folder) == other.path


def test_a_users_folder_is_no_place_for_a_compiled_form(owner):
    folder = owner.path.parent / "compiled" / "a"
    folder.mkdir(parents=True)
    (folder / "topology.json").write_text("of a network")
    (folder / "notes.txt").write_text("a user's")
    assert compiled_for(folder) is None
    with pytest.raises(ConfigError, match="ClassLift keeps its compiled pipeline there"):
        claim_compiled(folder, "a", owner.path)


def test_a_compiled_form_of_an_earlier_version_is_known(owner):
    folder = owner.path.parent / "compiled" / "a"
    folder.mkdir(parents=True)
    topology = {"name": "a", "config": str(owner.path)}
    (folder / "topology.json").write_text(json.dumps(topology))
    (folder / "pipeline.json").write_text("{}")
    assert compiled_for(folder) == owner.path


def test_a_users_folder_is_no_home_of_airflow(tmp_path):
    (tmp_path / "airflow").mkdir(mode=0o755)
    (tmp_path / "airflow" / "notes.txt").write_text("a user's")
    with pytest.raises(ConfigError, match="ClassLift keeps its home of Airflow there"):
        airflow.migrate(tmp_path / "airflow")
    assert (tmp_path / "airflow").stat().st_mode & 0o777 == 0o755
    assert [path.name for path in (tmp_path / "airflow").iterdir()] == ["notes.txt"]


@pytest.mark.skipif(not S3.exists(), reason="`make test` installs the server")
def test_two_configs_never_share_a_place_in_a_bucket(tmp_path, monkeypatch):
    """Each has a copy in a `work` of its own; whose the place is stands in the bucket."""
    with bucket_server(tmp_path / "log") as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        bucket(environment).create_dir("models")
        owners = []
        for name, address in (("a", "s3://models/cars"), ("b", "s3://models/cars/")):
            work = tmp_path / name / "work"
            serving = work / "mirror" / "s3" / "models" / "cars"
            owners.append(Owner(tmp_path / f"{name}.yaml", name, work, serving))
            folders = {"work": str(work), "serving": address}
            owners[-1].path.write_text(yaml.safe_dump({"name": name, **folders}))
        one, other = owners
        one.claim()
        one.claim()
        with pytest.raises(ConfigError, match=r"have the same serving \(s3://models/cars\)"):
            other.claim()
        one.path.unlink()
        other.claim()
        one.path.write_text(yaml.safe_dump({"work": str(one.work), "serving": "s3://models/cars"}))
        with pytest.raises(ConfigError, match=r"have the same serving"):
            one.claim()
