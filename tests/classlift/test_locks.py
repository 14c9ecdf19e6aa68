"""One at a time, who has it is named, and whoever is killed has nothing any more."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from classlift import locks
from classlift.errors import EXIT_RETRY, UnavailableError
from tests.project import ROOT

pytestmark = pytest.mark.unit

HOLD = """
import sys, time
from pathlib import Path
from classlift import locks
with locks.sharing(Path(sys.argv[1]), "the training of run 7", sys.argv[2]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that shares the lock with those of run 7."""
    words = [sys.executable, "-c", HOLD, str(tmp_path / "run"), "run 7"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def refused(path: Path, key: str) -> str:
    with pytest.raises(UnavailableError) as error, locks.sharing(path, "mine", key):
        pass
    assert error.value.exit_code == EXIT_RETRY
    return str(error.value)


def test_the_holder_is_named_until_it_is_killed(tmp_path, other):
    sentence = refused(tmp_path / "run", "run 8")
    for part in ("the training of run 7", f"process {other.pid} on ", str(tmp_path)):
        assert part in sentence
    with pytest.raises(UnavailableError), locks.alone(tmp_path / "run", "mine"):
        pass
    other.send_signal(signal.SIGKILL)
    other.wait()
    with locks.alone(tmp_path / "run", "mine"):
        assert f"process {os.getpid()} on " in refused(tmp_path / "run", "run 8")
    with locks.sharing(tmp_path / "run", "mine", "run 8"):  # an error frees it too
        pass


def test_processes_of_one_run_share_it_and_it_is_held_until_the_last_has_ended(tmp_path, other):
    with locks.sharing(tmp_path / "run", "mine", "run 7"):
        other.kill()
        other.wait()
        assert "the training of run 7" in refused(tmp_path / "run", "run 8")
        with locks.sharing(tmp_path / "run", "mine", "run 7"):
            pass
    with locks.sharing(tmp_path / "run", "mine", "run 8"):
        assert "mine" in refused(tmp_path / "run", "run 7")


def test_who_waits_says_so_and_gets_it(tmp_path, other, on_line):
    said = []

    def hear(line: str) -> None:
        said.append(line)
        other.kill()

    on_line(hear)
    with locks.alone(tmp_path / "run", "mine", wait=True):
        pass
    [line] = said
    assert line.startswith("waiting, for ")
    assert "the training of run 7" in line


def test_a_note_that_is_damaged_hinders_nobody(tmp_path):
    (tmp_path / "run").write_text("{half a no")
    with locks.alone(tmp_path / "run", "mine"):
        (tmp_path / "run").write_text("[]")
        assert "another process has it" in refused(tmp_path / "run", "run 8")
