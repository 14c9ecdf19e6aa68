"""A real Airflow on one host, as `make airflow` starts it, and its REST API."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.airflow import PASSWORDS, make_pool, migrate
from tests.project import ROOT, clean_environment
from tests.servers import free_port

ANSWER_AFTER = 20
"""Seconds between a question and its answer: Airflow 3.3 fails a task that is resumed before its
scheduler has heard that it was parked."""

SERVE = "import sys, pathlib, pipelines.airflow as a; sys.exit(a.serve(pathlib.Path(sys.argv[1])))"


def ask(url: str, method: str, body: Any = None, token: str | None = None) -> tuple[int, Any]:
    """The status and the answer, which is JSON or text, to one request."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)  # noqa: S310
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read().decode()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


def wait(what: str, found: Callable[[], Any], seconds: float) -> Any:
    """What `found` returns once it is true; fails when that is not in time."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, f"{what}: not in {seconds} s"
        time.sleep(1)
    return value


@dataclass(frozen=True)
class Server:
    """A running Airflow. home: where its database, logs and passwords are."""

    home: Path
    url: str
    process: subprocess.Popen

    def password(self, user: str) -> str:
        return json.loads((self.home / PASSWORDS).read_text())[user]

    def token(self, user: str = "admin") -> str:
        login = {"username": user, "password": self.password(user)}
        return ask(f"{self.url}/auth/token", "POST", login)[1]["access_token"]

    def ask(
        self, method: str, path: str, body: Any = None, user: str | None = "admin"
    ) -> tuple[int, Any]:
        """One request to the REST API; without a token when `user` is None."""
        token = self.token(user) if user else None
        return ask(f"{self.url}/api/v2/{path}", method, body, token)

    def trigger(self, dag: str, **conf: Any) -> str:
        """Starts a run; its id."""
        body = {"logical_date": None, "conf": conf}
        status, answer = self.ask("POST", f"dags/{dag}/dagRuns", body)
        assert status == 200, answer
        return answer["dag_run_id"]

    def states(self, dag: str, run: str) -> dict[str, str]:
        """The state of each task of a run."""
        found = self.ask("GET", f"dags/{dag}/dagRuns/{run}/taskInstances?limit=100")[1]
        return {task["task_id"]: task["state"] for task in found["task_instances"]}

    def state(self, dag: str, run: str) -> str:
        return self.ask("GET", f"dags/{dag}/dagRuns/{run}")[1]["state"]

    def log(self, dag: str, run: str, task: str) -> str:
        """What the last try of a task said."""
        folder = self.home / "logs" / f"dag_id={dag}" / f"run_id={run}" / f"task_id={task}"
        tries = sorted(folder.glob("attempt=*.log"), key=lambda p: int(p.stem.partition("=")[2]))
        return tries[-1].read_text()

    def end(self, dag: str, run: str, seconds: float) -> str:
        """Waits until a run has ended; its state."""
        ended = ("success", "failed")
        wait(f"the end of {run}", lambda: self.state(dag, run) in ended, seconds)
        return self.state(dag, run)


@contextlib.contextmanager
def start_airflow(home: Path, **variables: str) -> Iterator[Server]:
    """Airflow with a home of its own; ends with all its children."""
    port = free_port()
    environment = {
        **clean_environment(),
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,guest:viewer",
        **variables,
    }
    with _environment(environment):
        migrate(home)
        make_pool(home)
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(home)], cwd=ROOT, env=environment, start_new_session=True
    )
    server = Server(home, f"http://127.0.0.1:{port}", process)
    try:
        wait("Airflow", lambda: process.poll() is not None or _is_up(server), 180)
        assert process.poll() is None, (home / "api-server.log").read_text()[-3000:]
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(90)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _is_up(server: Server) -> bool:
    with contextlib.suppress(OSError):
        return ask(f"{server.url}/api/v2/monitor/health", "GET")[0] == 200
    return False
