"""What `classlift clean` removes, on a real metadata store: what no kept run needs, and no more."""

import json
import sys
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb
from pyarrow.fs import FileSelector

from classlift import cli, own_folders
from classlift.errors import ConfigError, EvaluationError, UnavailableError
from classlift.locks import alone
from classlift.serving.folder import served_versions
from classlift.settings.config import Retention
from components.recorded_uses import EVALUATION
from pipelines import old_runs
from pipelines.config import Config, load_config
from pipelines.metadata import connection_to, initialise, open_store
from pipelines.old_runs import ARTIFACT, ASIDE, RUN, VERSION
from pipelines.places import RUNS, serving_of
from pipelines.running import LOCK
from tests.bucket_server import S3, bucket, bucket_server, upload
from tests.classlift.gate import verdicts
from tests.classlift.serving.test_folder import serve
from tests.project import make_project

pytestmark = pytest.mark.unit
NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=3)  # all runs are two days old and more by then
KINDS = {
    "DatasetSnapshot": "ClassLiftSnapshot",
    "Trainer": "Model",
    "RecallGate": EVALUATION,
    "Pusher": "PushedModel",
}


@dataclass
class History:
    """A config whose runs leave a file in each folder that they make."""

    config: Config
    made: dict[tuple[str, str], pb.Artifact] = field(default_factory=dict)

    @property
    def store(self) -> MetadataStore:
        return open_store(connection_to(self.config.work), read_only=False)

    def run(
        self,
        run_id: str,
        *nodes: str,
        cached: tuple[str, ...] = (),
        of: str = "",
        push: int | None = None,
        state: pb.Execution.State = pb.Execution.COMPLETE,
    ) -> None:
        """Nodes of a run, one after the other; `cached` are answered with what run `of` made."""
        folder = self.config.work / "runs" / run_id
        folder.mkdir(parents=True)
        for node in cached:
            self._record(run_id, node, pb.Execution.CACHED, self.made[of, node])
        for node in nodes:
            self._record(run_id, node, state)
            (folder / f"{node}.json").write_text("{}")
        if push is not None:
            self._record(run_id, "Pusher", state, pushed=push)
            self.serve(push)

    def serve(self, version: int, provenance: str = '{"target": "8"}') -> Path:
        folder = self.config.serving / str(version)
        (folder / "assets.extra").mkdir(parents=True)
        (folder / "saved_model.pb").write_text("a model")
        if provenance:
            (folder / "assets.extra" / "provenance.json").write_text(provenance)
        return folder

    def path(self, run_id: str, node: str) -> Path:
        return Path(self.made[run_id, node].uri)

    def _record(
        self,
        run_id: str,
        node: str,
        state: pb.Execution.State,
        artifact: pb.Artifact | None = None,
        pushed: int | None = None,
    ) -> None:
        store = self.store
        contexts = [
            pb.Context(type_id=store.put_context_type(pb.ContextType(name=kind)), name=name)
            for kind, name in (("pipeline_run", run_id), ("node", f"{self.config.name}.{node}"))
        ]
        type_id = store.put_execution_type(pb.ExecutionType(name=node))
        [execution_id] = store.put_executions([pb.Execution(type_id=type_id)])
        execution = store.get_executions_by_id([execution_id])[0]
        execution.last_known_state = state
        if artifact is None:
            uri = self.config.work / "pipeline" / node / "output" / str(execution_id)
            uri.mkdir(parents=True)
            (uri / "content").write_text(f"{node} of {run_id}")
            artifact_type = store.put_artifact_type(pb.ArtifactType(name=KINDS[node]))
            artifact = pb.Artifact(type_id=artifact_type, uri=str(uri))
            if pushed is not None:
                artifact.custom_properties["pushed_version"].string_value = str(pushed)
        events = [(artifact, pb.Event(type=pb.Event.OUTPUT))]
        _, [artifact_id], _ = store.put_execution(
            execution, events, contexts, reuse_context_if_already_exist=True
        )
        self.made[run_id, node] = store.get_artifacts_by_id([artifact_id])[0]


@pytest.fixture
def history(tmp_path) -> History:
    config = load_config(make_project(tmp_path / "user", "prune_test").config)
    for name, what in (("pipeline", own_folders.OUTPUTS), ("runs", own_folders.RUNS)):
        own_folders.make(config.work / name, what)  # as each run does
    initialise(connection_to(config.work))
    return History(config)


@pytest.mark.skipif(not S3.exists(), reason="`make test` installs the server")
def test_versions_are_removed_from_a_bucket_too(tmp_path, monkeypatch):
    project = make_project(tmp_path / "user", "prune_test")
    document = yaml.safe_load(project.config.read_text())
    project.config.write_text(yaml.safe_dump({**document, "serving": "s3://models/digits"}))
    config = load_config(project.config)
    for name, what in (("pipeline", own_folders.OUTPUTS), ("runs", own_folders.RUNS)):
        own_folders.make(config.work / name, what)
    initialise(connection_to(config.work))
    with bucket_server(tmp_path / "log") as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        objects = bucket(environment)
        serve(tmp_path / "theirs", 5, 6, 7)
        objects.create_dir("models")
        upload(objects, tmp_path / "theirs", "models/digits")
        serving_of(config).refresh()
        found = pruned(History(config), versions=2)
        assert [left.path.name for left in found.leftovers] == ["5"]
        listed = objects.get_file_info(FileSelector("models/digits"))
        assert sorted(info.base_name for info in listed) == ["6", "7"]
        assert served_versions(config.serving) == [6, 7]


@pytest.fixture(autouse=True)
def user_folder(tmp_path):
    (tmp_path / "user").mkdir(exist_ok=True)


def tree(folder: Path) -> dict[str, bytes]:
    """All files but those of SQLite, which a reader may touch."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("metadata.db")
    }


def pruned(history: History, **retention: int) -> old_runs.Plan:
    """Removes what nothing needs three days later."""
    found = old_runs.plan(history.config, Retention(**retention), LATER)
    old_runs.remove(history.config, found)
    return found


def test_what_kept_runs_need_stays_also_from_the_cache_of_an_older_run(history):
    history.run("one", "DatasetSnapshot", "Trainer", "RecallGate")
    history.run("two", "DatasetSnapshot", "Trainer", "RecallGate")
    history.run("three", "Trainer", "RecallGate", cached=("DatasetSnapshot",), of="one")
    before = tree(history.config.work)
    found = pruned(history, runs=1)
    gone = before.keys() - tree(history.config.work).keys()
    expected = [
        history.path(run, node) / "content"
        for run, node in (
            ("one", "Trainer"), ("one", "RecallGate"), ("two", "DatasetSnapshot"),
            ("two", "Trainer"), ("two", "RecallGate"),
        )
    ]  # fmt: skip
    runs = [history.config.work / "runs" / run for run in ("one", "two")]
    expected += [run / f"{node}.json" for run in runs for node in list(KINDS)[:3]]
    assert {history.config.work / name for name in gone} == set(expected)
    assert found.kept_runs == ("three",)
    assert (found.count(ARTIFACT), found.count(RUN), found.count(VERSION)) == (5, 2, 0)
    assert found.size() == sum(len(before[name]) for name in gone)
    assert not list(history.config.work.rglob(ASIDE))
    states = {a.uri: a.state for a in history.store.get_artifacts()}
    deleted = {Path(uri) for uri, state in states.items() if state == pb.Artifact.DELETED}
    assert deleted == {path.parent for path in expected[:5]}
    assert pruned(history, runs=1).leftovers == ()


def test_what_was_pushed_keeps_its_evaluation_and_its_record(history):
    history.run("one", "Trainer", "RecallGate", push=5)
    history.run("two", "Trainer", "RecallGate")
    pruned(history, runs=1)
    assert history.path("one", "RecallGate").is_dir()
    assert not history.path("one", "Trainer").exists()
    assert (history.config.work / "runs" / "one").is_dir()
    assert (history.config.serving / "5").is_dir()


@pytest.mark.parametrize(
    ("state", "kept"),
    [(pb.Execution.FAILED, {"new", "good"}), (pb.Execution.RUNNING, {"new", "good", "mid"})],
)
def test_the_latest_judged_run_and_what_is_going_on_stay(history, state, kept):
    history.run("old", "Trainer", "RecallGate")
    history.run("good", "Trainer", "RecallGate")
    history.run("mid", "Trainer", state=state)
    history.run("new", "DatasetSnapshot")
    assert set(pruned(history, runs=1).kept_runs) == kept


def test_young_runs_stay(history):
    for run in ("one", "two", "three"):
        history.run(run, "Trainer")
    retention = Retention(runs=1, days=2)
    assert len(old_runs.plan(history.config, retention, NOW).kept_runs) == 3
    assert old_runs.plan(history.config, retention, LATER).kept_runs == ("three",)


def test_nothing_that_no_run_made_is_touched(history, tmp_path):
    history.run("one", "DatasetSnapshot", "Trainer", "RecallGate")
    history.run("two", "Trainer", "RecallGate")
    work, elsewhere = history.config.work, tmp_path / "elsewhere"
    mine = [
        work / "pipeline" / "Trainer" / "output" / "99" / "model.h5",  # beside the recorded ones
        work / "pipeline" / "Trainer" / "notes.txt",
        work / "runs" / "my run" / "notes.txt",
        work / "memory" / "splits.parquet",
        work / "one.txt",
        elsewhere / "content",
    ]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    linked = history.path("one", "Trainer")  # moved to another disk, with a link in its place
    linked.rename(tmp_path / "moved")
    linked.symlink_to(tmp_path / "moved")
    store = history.store  # an artifact that lies where no node puts any
    strange = history.made["one", "DatasetSnapshot"]
    strange.uri = str(elsewhere)
    store.put_artifacts([strange])
    pruned(history, runs=1)
    assert [path.read_text() for path in mine] == ["mine"] * len(mine)
    assert (tmp_path / "moved" / "content").exists()
    assert not history.path("one", "RecallGate").exists()


def test_another_config_in_the_same_database_is_not_touched(history):
    other = History(replace(history.config, name="other"))
    other.run("theirs", "Trainer")
    history.run("one", "Trainer")
    history.run("two", "Trainer", "RecallGate")
    found = pruned(history, runs=1)
    assert found.kept_runs == ("two",)
    assert other.path("theirs", "Trainer").is_dir()
    assert not history.path("one", "Trainer").exists()


def test_old_versions_go_when_asked_but_not_what_is_served_or_not_ours(history):
    for number in range(1, 6):
        history.run(f"run {number}".replace(" ", "_"), "RecallGate", push=number)
    history.serve(0, provenance="")  # put there by a person
    assert pruned(history, runs=1).count(VERSION) == 0
    history.run("again", cached=("RecallGate",), of="run_1")
    history.made["again", "Pusher"] = history.made["run_1", "Pusher"]
    history._record("again", "Pusher", pb.Execution.CACHED, history.made["run_1", "Pusher"])
    found = pruned(history, runs=1, versions=2)
    assert found.kept_versions == (1, 4, 5)  # the first is what the latest run stands for
    assert sorted(p.name for p in history.config.serving.iterdir()) == ["0", "1", "4", "5"]


def test_what_is_interrupted_leaves_no_half_folder_and_is_finished_later(history, monkeypatch):
    history.run("one", "DatasetSnapshot", "Trainer", "RecallGate")
    history.run("two", "Trainer", "RecallGate")
    found = old_runs.plan(history.config, Retention(runs=1), LATER)
    whole = own_folders.clear

    def die(folder: Path, what: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(own_folders, "clear", die)
    with pytest.raises(KeyboardInterrupt):
        old_runs.remove(history.config, found)
    monkeypatch.setattr(own_folders, "clear", whole)
    [aside] = history.config.work.rglob(ASIDE)
    assert len([p for p in aside.iterdir() if p.name != own_folders.MARK]) == 1
    for left in found.leftovers:
        assert not left.path.exists() or list(left.path.iterdir())
    pruned(history, runs=1)
    assert not list(history.config.work.rglob(ASIDE))
    assert not [left for left in found.leftovers if left.path.exists()]


def test_a_folder_of_somebody_else_in_its_way_is_named(history):
    history.run("one", "Trainer")
    history.run("two", "Trainer", "RecallGate")
    mine = history.config.work / "pipeline" / ASIDE / "mine"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(ConfigError, match="keeps its pruned folders there"):
        pruned(history, runs=1)
    assert mine.read_text() == "mine"
    assert history.path("one", "Trainer").is_dir()


def test_while_a_run_goes_on_nothing_is_removed(history, monkeypatch, capsys):
    history.run("one", "Trainer")
    history.run("two", "Trainer", "RecallGate")
    words = ["classlift", "clean", "--config", str(history.config.path), "--keep", "1"]
    monkeypatch.setattr(sys, "argv", [*words, "--yes"])
    with alone(history.config.work / RUNS / LOCK, "run three of prune_test"):
        assert cli.main() == UnavailableError.exit_code
    assert "run three of prune_test" in capsys.readouterr().err
    assert history.path("one", "Trainer").is_dir()


@pytest.mark.parametrize("name", ["pipeline", "runs"])
def test_a_folder_without_our_mark_is_left_alone(history, name):
    history.run("one", "Trainer")
    history.run("two", "Trainer", "RecallGate")
    (history.config.work / name / own_folders.MARK).unlink()
    before = tree(history.config.work)
    with pytest.raises(ConfigError, match=f"{name}: ClassLift keeps its .* and what is there now"):
        pruned(history, runs=1)
    assert tree(history.config.work) == before


def test_without_metadata_nobody_knows_what_is_needed(history):
    history.run("one", "Trainer")
    for path in history.config.work.glob("metadata.db*"):
        path.unlink()
    before = tree(history.config.work)
    with pytest.raises(EvaluationError, match="there is no ML Metadata"):
        old_runs.plan(history.config, Retention(runs=1))
    assert tree(history.config.work) == before


def test_the_command_shows_first_and_removes_when_asked(history, monkeypatch, capsys):
    history.run("one", "Trainer")
    history.run("two", "Trainer", "RecallGate")
    before = tree(history.config.work)
    words = ["classlift", "clean", "--config", str(history.config.path), "--keep", "1"]
    monkeypatch.setattr(sys, "argv", words)
    assert cli.main() == 0
    shown = capsys.readouterr().out
    assert str(history.path("one", "Trainer")) in shown
    assert "0.0 MB  would go: 1 artifact\n    0.0 MB  would go: 1 run\n" in shown
    assert "kept: 1 run (two)\nkept: 0 served versions (none)" in shown
    assert "nothing is removed yet: run it again with --yes" in shown
    assert tree(history.config.work) == before
    monkeypatch.setattr(sys, "argv", [*words, "--yes"])
    assert cli.main() == 0
    assert "removed: 0.0 MB" in capsys.readouterr().out
    assert not history.path("one", "Trainer").exists()


@pytest.mark.parametrize(("answer", "stays"), [("", True), ("no", True), ("y", False)])
def test_a_person_at_a_terminal_is_asked(history, monkeypatch, capsys, answer, stays):
    history.run("one", "Trainer")
    history.run("two", "Trainer", "RecallGate")
    words = ["classlift", "clean", "--config", str(history.config.path), "--keep", "1"]
    monkeypatch.setattr(sys, "argv", words)
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    assert cli.main() == 0
    assert history.path("one", "Trainer").exists() == stays
    assert ("run it again with --yes" in capsys.readouterr().out) == stays


def test_json_says_what_goes_and_stays_and_never_asks(history, monkeypatch, capsys):
    history.run("one", "Trainer")
    history.run("two", "Trainer", "RecallGate")
    gone = [str(history.path("one", "Trainer")), str(history.config.work / "runs" / "one")]
    words = ["classlift", "clean", "--config", str(history.config.path), "--keep", "1", "--json"]
    for extra, removed in (([], False), (["--yes"], True)):
        monkeypatch.setattr(sys, "argv", [*words, *extra])
        assert cli.main() == 0
        said = json.loads(capsys.readouterr().out)
        assert said["removed"] == removed
        assert sorted(left["path"] for left in said["leftovers"]) == sorted(gone)
        assert said["kept_runs"] == ["two"]


def test_the_champion_of_what_is_served_stays(history):
    for number in range(1, 6):
        history.run(f"run_{number}", "RecallGate", push=number)
    champion = replace(verdicts.VERDICT, champion="version 2")
    champion.write(history.path("run_5", "RecallGate"))
    (history.path("run_5", "RecallGate") / "report.html").write_text("a report")
    assert pruned(history, runs=1, versions=2).kept_versions == (2, 4, 5)
    assert sorted(p.name for p in history.config.serving.iterdir()) == ["2", "4", "5"]


@pytest.mark.parametrize("option", [["--keep", "0"], ["--versions", "1"], ["--days", "-1"],
                                    ["--keep", "x"], ["--days", "99999999999"]])  # fmt: skip
def test_a_wrong_number_is_refused(history, monkeypatch, capsys, option):
    words = ["classlift", "clean", "--config", str(history.config.path), *option]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert option[0] in capsys.readouterr().err


def test_the_config_says_what_is_kept(tmp_path):
    import yaml

    project = make_project(tmp_path / "user", "prune_test")
    document = yaml.safe_load(project.config.read_text())
    assert load_config(project.config).retention == Retention()
    document["retention"] = {"runs": 3, "days": 30, "versions": 5}
    project.config.write_text(json.dumps(document))
    assert load_config(project.config).retention == Retention(3, 30, 5)
    for wrong in ({"runs": 0}, {"versions": 1}, {"days": -1}, {"weeks": 2}, {"runs": True}):
        project.config.write_text(json.dumps({**document, "retention": wrong}))
        with pytest.raises(ConfigError, match="retention"):
            load_config(project.config)
