"""The nodes of a local run are copies of one process, and end as processes of their own do."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from pipelines.fork_server import ForkServer
from tests.pipelines.conftest import small_project
from tests.project import ROOT, Project, clean_environment

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """A compiled project with a few scenes."""
    return small_project(tmp_path_factory.mktemp("forked"), "forked_test", 30)


@pytest.fixture
def server(project, request) -> Iterator[ForkServer]:
    (project.work / "runs").mkdir(parents=True, exist_ok=True)
    environment = {**clean_environment(), "PYTHONUNBUFFERED": "1"}
    compiled = project.compiled / "forked_test"
    with ForkServer(compiled, request.node.name, environment) as started:
        yield started


def run(server: ForkServer, node: str, libraries: tuple[str, ...] = ()) -> tuple[str, int]:
    with server.node(node, libraries) as output:
        return output.read(), server.exit_code()


def test_one_node_after_the_other(server):
    said, code = run(server, "DatasetSnapshot")
    assert code == 0, said
    assert "DatasetSnapshot: done in " in said
    said, code = run(server, "DatasetSnapshot", ("apache_beam", "tensorflow"))
    assert code == 0, said
    assert "DatasetSnapshot: done in " in said  # as TFX does where a run asks again
    assert run(server, "Pusher")[1] == 78
    said, code = run(server, "Absent")
    assert code == 78
    assert "There is no node 'Absent'" in said


def test_a_node_that_is_killed_leaves_the_server(server):
    with server.node("DataValidator", ()) as output:
        assert "starting" in output.readline()
        (node,) = psutil.Process(server.pid).children()
        node.kill()
        output.read()
    assert server.exit_code() == -signal.SIGKILL
    assert run(server, "Pusher")[1] == 78


def test_a_server_that_is_killed_ends_its_node_and_the_run(server):
    with server.node("DataValidator", ()) as output:
        assert "starting" in output.readline()
        own = psutil.Process(server.pid)
        (node,) = own.children()
        own.kill()
        output.read()
    assert server.exit_code() == -signal.SIGKILL
    psutil.wait_procs([node], timeout=60)
    assert not node.is_running()


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_ended_leaves_no_process(project, ended_by):
    """SIGINT goes to all of a terminal's processes, the others to the runner alone."""
    words = ["classlift", "run", "--config", str(project.config), "--set", "min_lift=0.5"]
    environment = {**clean_environment(), "PYTHONUNBUFFERED": "1"}
    environment["CLASSLIFT_COMPILED"] = str(project.compiled)
    with subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "DataValidator: starting" in line:
                break
        started = psutil.Process(process.pid).children(recursive=True)
        assert len(started) >= 2  # the server and the node
        if ended_by == signal.SIGINT:
            os.killpg(process.pid, ended_by)
        else:
            process.send_signal(ended_by)
        process.stdout.read()
    _, alive = psutil.wait_procs(started, timeout=60)
    assert not alive
    assert process.returncode != 0
