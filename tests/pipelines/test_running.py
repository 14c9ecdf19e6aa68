"""One run of a config at a time, from wherever it is started; what is lost is begun anew, aloud."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from classlift.environment import HOLDER_VARIABLE, METADATA_VARIABLE, PARENT_VARIABLE
from classlift.errors import EXIT_PERMANENT, EXIT_RETRY, EvaluationError, UnavailableError
from classlift.faults import explain
from classlift.paths import replacing
from pipelines.metadata import begin_anew, connection_to, initialise, open_existing, open_store
from pipelines.running import running
from tests.project import ROOT

pytestmark = pytest.mark.unit

HOLD = """
import json, sys, time
from pathlib import Path
from types import SimpleNamespace
from types import SimpleNamespace
from pipelines.running import running
facts = {key: Path(value) for key, value in json.loads(sys.argv[1]).items()}
topology = SimpleNamespace(**{**facts, "name": "a"})
with running(topology, sys.argv[2], sys.argv[3] or None):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def by_hand(monkeypatch):
    for name in (METADATA_VARIABLE, HOLDER_VARIABLE, PARENT_VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def topology(tmp_path):
    (tmp_path / "a.yaml").write_text(f"work: {tmp_path / 'work'}\nserving: {tmp_path / 'served'}\n")
    folders = {key: tmp_path / key for key in ("work", "serving")}
    return SimpleNamespace(name="a", config=tmp_path / "a.yaml", **folders)


@pytest.fixture
def start(topology):
    """Starts another process of a run."""
    processes = []

    def hold(run_id: str, node: str = "") -> subprocess.Popen:
        words = [sys.executable, "-c", HOLD, json.dumps(vars(topology), default=str), run_id, node]
        process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in processes:
        process.kill()
        process.communicate()


def test_two_runs_at_once_are_refused_with_the_holders_name(topology, start):
    other = start("run 1", "Trainer")
    for node in ("DatasetSnapshot", "Trainer", None):
        with pytest.raises(UnavailableError) as error, running(topology, "run 2", node=node):
            pass
        assert error.value.exit_code == EXIT_RETRY
        assert f"run run 1 of a, process {other.pid} on " in str(error.value)
    with running(topology, "run 1", node="StatisticsGen"):  # another node of the same run
        pass


def test_one_node_never_runs_twice_at_once_in_one_run(topology, start):
    start("run 1")
    start("run 1", "Trainer")
    with (
        pytest.raises(UnavailableError, match="Trainer of run run 1"),
        running(topology, "run 1", node="Trainer"),
    ):
        pass


def test_whoever_is_killed_holds_back_nobody(topology, start):
    process = start("run 1", "Trainer")
    process.kill()
    process.wait()
    with running(topology, "run 2", node="Trainer"):
        pass


def test_what_airflow_started_waits_and_says_for_whom(topology, start, monkeypatch, on_line):
    process = start("run 1")
    said: list[str] = []
    monkeypatch.setenv(PARENT_VARIABLE, "1")

    def hear(line: str) -> None:
        said.append(line)
        process.kill()

    on_line(hear)
    with running(topology, "run 2", "Trainer"):
        pass
    [line] = said
    assert line.startswith("waiting, for ")
    assert f"run run 1 of a, process {process.pid}" in line


def test_processes_of_one_run_whose_id_nobody_knew_beforehand(topology, start, monkeypatch):
    monkeypatch.setenv(HOLDER_VARIABLE, "demo 1")
    start("one id")
    with running(topology, "another id"):
        pass
    monkeypatch.setenv(HOLDER_VARIABLE, "demo 2")
    with pytest.raises(UnavailableError), running(topology, "one id"):
        pass


@pytest.mark.parametrize("loss", ["database", "work", "emptied"])
def test_metadata_that_are_gone_are_begun_anew_and_the_loss_is_named(topology, loss, caplog):
    work = topology.work
    with running(topology, "run 1"):
        initialise(connection_to(work))
    if loss == "work":
        shutil.rmtree(work)
    elif loss == "database":
        (work / "metadata.db").unlink()
    else:
        (work / "metadata.db").write_bytes(b"")
    with running(topology, "run 2", node="Trainer"):
        begin_anew(connection_to(work))
    [line] = caplog.messages
    for lost in ("the history of runs and pushes", "how often the test set was used", "the cache"):
        assert lost in line
    open_existing(connection_to(work))
    begin_anew(connection_to(work))
    assert len(caplog.messages) == 1


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garbage(path: Path) -> None:
    path.write_text("not a database, " * 100)


def a_page_of_zeros(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:5000] + bytes(4096) + data[9096:])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (truncated, "database disk image is malformed"),
        (garbage, "file is not a database"),
        (a_page_of_zeros, "database disk image is malformed"),
    ],
)
@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("opened", [open_store, open_existing])
def test_damaged_metadata_are_one_sentence(tmp_path, damage, reason, read_only, opened):
    connection = connection_to(tmp_path)
    initialise(connection)
    damage(tmp_path / "metadata.db")
    before = (tmp_path / "metadata.db").read_bytes()
    with pytest.raises(EvaluationError) as error:
        opened(connection, read_only)
    place = f"{tmp_path / 'metadata.db'}: ML Metadata can't be read ({reason}); put it back"
    assert place in str(error.value)
    assert "query" not in str(error.value)
    assert (tmp_path / "metadata.db").read_bytes() == before


def wrapped(error: Exception) -> Exception:
    try:
        raise RuntimeError("a worker failed") from error
    except RuntimeError as outer:
        return outer


@pytest.mark.parametrize(
    ("error", "words", "code"),
    [
        (OSError(errno.ENOSPC, "No space left", "/w/x"), "/w/x: the disk is full", EXIT_RETRY),
        (wrapped(OSError(errno.ENOSPC, "No space left")), "the disk is full", EXIT_RETRY),
        (RuntimeError("IO: No space left on device [while 'x']"), "the disk is full", EXIT_RETRY),
        (
            shutil.Error(
                [("/a", "/w/b", "[Errno 28] No space left on device: '/a' -> '/w/b'")] * 99
            ),
            "/w/b: the disk is full (No space left on device",
            EXIT_RETRY,
        ),
        (OSError(errno.EROFS, "Read-only", "/w"), "/w: this user may not write", EXIT_PERMANENT),
        (PermissionError(errno.EACCES, "denied", "/w"), "check owner and mode", EXIT_PERMANENT),
        (OSError(errno.ENAMETOOLONG, "too long", "/w/x"), "/w/x: no file can have", EXIT_PERMANENT),
    ],
)
def test_faults_of_the_machine_are_sentences(error, words, code):
    explained = explain(error)
    assert explained is not None
    assert words in explained[0]
    assert explained[1] == code


def test_a_full_disk_is_named(tmp_path):
    folder = tmp_path / "a disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("file systems can't be mounted here")
    try:
        with pytest.raises(OSError, match="No space left") as filled:
            (folder / "x").write_bytes(b"0" * 3_000_000)
        explained = explain(filled.value)
        with (
            pytest.raises(OSError, match="No space left") as replaced,
            replacing(folder / "y") as y,
        ):
            y.write_bytes(b"0" * 3_000_000)
    finally:
        subprocess.run([shutil.which("umount") or "", str(folder)], check=True)
    assert f"no room is left in {folder}" in explained[0]
    assert replaced.value.filename == str(folder / "y")


@pytest.mark.parametrize("error", [ValueError("x"), OSError(errno.ENOENT, "no such file", "/w")])
def test_faults_of_the_program_stay_what_they_are(error):
    assert explain(error) is None
