"""The services of docker-compose.yml as processes of this machine: their commands, environment and
health checks, on real Postgres and Redis servers. Only hosts, ports and folders are replaced."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from demo import scenes
from tests.airflow_server import ANSWER_AFTER, ask
from tests.docker.compose import COMPOSE, MAKERS, ROOT, all_services
from tests.project import Project, make_project
from tests.servers import Postgres, free_port, program, start_postgres

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(not COMPOSE.exists(), reason="`make test` installs Compose"),
]
NAMES = ("compose_first", "compose_second")
LONG_RUNNING = ("api-server", "scheduler", "dag-processor", "triggerer", "worker", "cpu-worker")


@dataclass
class Stack:
    """The services of the file, each with a home of its own below one folder."""

    folder: Path
    services: dict[str, dict[str, Any]]
    api: str
    password: str
    metadata: Postgres
    running: dict[str, subprocess.Popen] = field(default_factory=dict)

    def environment(self, name: str) -> dict[str, str]:
        home = self.folder / name
        home.mkdir(exist_ok=True)
        return {
            "PATH": f"{ROOT}/.venv/airflow/bin:{os.environ['PATH']}",
            "HOME": str(home),
            "AIRFLOW_HOME": str(home),
            "CLASSLIFT_COMPILED": str(self.folder / "compiled"),
            # containers have a host each
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": self.api.rpartition(":")[2],
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",  # a worker that was killed
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.folder / "logs"),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            **self.services[name].get("environment", {}),
        }

    def run(self, name: str, *words: str) -> str:
        """A job to its end; `words` stand for its command. What it says."""
        result = subprocess.run(
            words or self.services[name]["command"],
            env=self.environment(name),
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert result.returncode == 0, f"{name}: {result.stdout[-3000:]}"
        return result.stdout

    def start(self, name: str) -> None:
        command = list(self.services[name]["command"])
        if "celery" in command:
            command += ["--celery-hostname", f"celery@{name}"]
        with (self.folder / f"{name}.log").open("w") as log:
            self.running[name] = subprocess.Popen(
                command,
                env=self.environment(name),
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def healthy(self, name: str) -> bool:
        kind, *words = self.services[name]["healthcheck"]["test"]
        if kind == "CMD-SHELL":
            words = ["sh", "-c", words[0].replace("$(hostname)", name)]
        check = subprocess.run(words, env=self.environment(name), capture_output=True, check=False)
        return check.returncode == 0

    def heartbeats(self) -> bool:
        """Whether the api-server has heard of all that write to its database."""
        health = self.ask("GET", "/api/v2/monitor/health")
        return all(part["status"] == "healthy" for part in health.values())

    def wait(self, what: str, found: Any, seconds: float, every: float = 1) -> Any:
        """What `found` returns once it is true; fails when it is not in time, or a service ends."""
        deadline = time.monotonic() + seconds
        while not (value := found()):
            ended = [name for name, process in self.running.items() if process.poll() is not None]
            assert not ended, f"{ended[0]}: {(self.folder / f'{ended[0]}.log').read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"{what}: not in {seconds} s"
            time.sleep(every)
        return value

    def ask(self, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
        """The answer of Airflow's REST API; None where it refuses or knows nothing of it."""
        status, answer = ask(f"http://{self.api}{path}", method, body, token)
        return answer if status < 400 else None

    def nodes(self, name: str) -> list[psutil.Process]:
        """The nodes that a worker runs now."""
        return [p for p in self._family(name) if _is_node(p)]

    def kill(self, name: str) -> None:
        """SIGKILL to all that is Airflow's of a worker, as when memory runs out; its nodes must end
        by themselves."""
        family = self._family(name)
        nodes = [p for p in family if _is_node(p)]
        for process in family:
            if process not in nodes:
                process.kill()
        self.running.pop(name).wait()
        _, alive = psutil.wait_procs(nodes, 60)
        assert not alive

    def _family(self, name: str) -> list[psutil.Process]:
        worker = psutil.Process(self.running[name].pid)
        return [worker, *worker.children(recursive=True)]

    def stop(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            alive = [process for process in self.running.values() if process.poll() is None]
            for process in alive:
                os.killpg(process.pid, number)
            for process in alive:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(20)


def _is_node(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return "pipelines.run_node" in process.cmdline()
    return False


@pytest.fixture(scope="module")
def stack(tmp_path_factory) -> Iterator[Stack]:
    """Databases, Redis and all jobs that run once."""
    program("redis-server")
    folder = tmp_path_factory.mktemp("stack")
    values = {name: make() for name, make in MAKERS.items()}
    with contextlib.ExitStack() as servers:
        airflow_db = servers.enter_context(start_postgres("airflow", values["AIRFLOW_DB_PASSWORD"]))
        metadata = servers.enter_context(start_postgres("metadata", values["METADATA_DB_PASSWORD"]))
        for server in (airflow_db, metadata):  # as the image does
            server.run("createdb", server.user)
        redis, api = free_port(), free_port()
        text = json.dumps(all_services(folder, values))
        for there, here in {
            "airflow-db:5432": f"127.0.0.1:{airflow_db.port}",
            "metadata-db:5432": f"127.0.0.1:{metadata.port}",
            "redis:6379": f"127.0.0.1:{redis}",
            "redis-server -": f"redis-server - --bind 127.0.0.1 --port {redis} --dir {folder}",
            "redis-cli": f"redis-cli -p {redis}",
            "api-server:8080": f"127.0.0.1:{api}",
            "127.0.0.1:8080": f"127.0.0.1:{api}",
            "/opt/classlift": str(ROOT),
            "$$": "$",
        }.items():
            assert there in text, there
            text = text.replace(there, here)
        stack = Stack(
            folder, json.loads(text), f"127.0.0.1:{api}", values["ADMIN_PASSWORD"], metadata
        )
        try:
            stack.start("redis")
            stack.wait("redis", lambda: stack.healthy("redis"), 20)
            for job in ("migrate", "pool", "admin", "admin", "compile"):
                said = stack.run(job)
                assert not [
                    secret for secret in values.values() if len(secret) > 3 and secret in said
                ]
            yield stack
        finally:
            stack.stop()


def test_redis_wants_a_password(stack):
    port = stack.services["worker"]["environment"]["AIRFLOW__CELERY__BROKER_URL"]
    port = port.rpartition(":")[2].partition("/")[0]
    answer = subprocess.run(
        [program("redis-cli"), "-p", port, "ping"], capture_output=True, text=True, check=False
    )
    assert "NOAUTH" in answer.stdout


@dataclass(frozen=True)
class Run:
    """A run of one config."""

    stack: Stack
    project: Project
    token: str
    path: str

    def states(self) -> dict[str, tuple[str, str, int]]:
        """State, queue and number of tries of each task."""
        found = self.stack.ask("GET", f"{self.path}/taskInstances", token=self.token)
        return {
            t["task_id"]: (t["state"], t["queue"], t["try_number"]) for t in found["task_instances"]
        }

    def is_at(self, task: str, wanted: str) -> bool:
        now = self.states()
        assert "failed" not in {state for state, *_ in now.values()}, now
        return now[task][0] == wanted


def write_project(stack: Stack, name: str) -> Project:
    """A small project whose runs train nothing, and whose gate leaves the verdict open."""
    (stack.folder / name).mkdir()
    project = make_project(stack.folder / name, name)
    document = yaml.safe_load(project.config.read_text())
    document["data"]["root"] = str(stack.folder / "data")
    document["recipe"] = {"recalibrate": True}
    document["gate"] = {"precision": 0.5, "recall_floors": {"8": 0.6}}
    project.config.write_text(yaml.safe_dump(document))
    return project


def test_two_configs_run_at_once_through_both_queues_and_a_killed_worker(stack):
    for split in (scenes.OLD, scenes.NEW, scenes.EVAL, scenes.TEST):
        scenes.write_split(split, stack.folder / "data" / split.name, 60)
    projects = {name: write_project(stack, name) for name in NAMES}
    for project in projects.values():
        stack.run(
            "compile",
            sys.executable,
            "-m",
            "classlift",
            "compile",
            "--config",
            str(project.config),
        )
    for name in LONG_RUNNING:
        stack.start(name)
    stack.wait("api-server", lambda: stack.healthy("api-server"), 240)
    stack.wait("the others", stack.heartbeats, 240)
    for name in LONG_RUNNING:  # each check of its own costs seconds of work
        stack.wait(name, lambda name=name: stack.healthy(name), 240, every=5)

    def login(password: str) -> Any:
        return stack.ask("POST", "/auth/token", {"username": "admin", "password": password})

    assert login("admin") is None
    token = login(stack.password)["access_token"]
    assert stack.ask("GET", "/api/v2/pools/gpu", token=token)["slots"] == 1
    runs = []
    for name, project in projects.items():
        dag = f"/api/v2/dags/classlift_retrain_{name}"
        stack.wait("the DAG", lambda dag=dag: stack.ask("GET", dag, token=token), 120)
        assert stack.ask("PATCH", dag, {"is_paused": False}, token)
        run = stack.ask("POST", f"{dag}/dagRuns", {"logical_date": None}, token)
        runs.append(Run(stack, project, token, f"{dag}/dagRuns/{run['dag_run_id']}"))
    stack.wait("a node on the queue", lambda: stack.nodes("cpu-worker"), 600)
    stack.kill("cpu-worker")
    stack.start("cpu-worker")  # as Compose does
    for run in runs:
        stack.wait("the question", lambda run=run: run.is_at("Approval", "awaiting_input"), 1500)
        now = run.states()
        assert now["DatasetSnapshot"][:2] == ("success", "default")
        assert now["ChampionDetect"][:2] == ("success", "gpu")
        time.sleep(ANSWER_AFTER)
        answer = {"chosen_options": ["Approve"], "params_input": {"reason": "Seen by REST."}}
        assert stack.ask(
            "PATCH", f"{run.path}/taskInstances/Approval/-1/hitlDetails", answer, token
        )
    assert sorted(run.states()["ChampionDetect"][2] for run in runs) == [1, 2]
    for run in runs:
        stack.wait("the push", lambda run=run: run.is_at("Pusher", "success"), 240)
        [version] = run.project.versions()
        notes = run.project.folder / "served" / version / "assets.extra" / "provenance.json"
        override = json.loads(notes.read_text())["override"]
        assert (override["by"], override["reason"]) == ("admin", "Seen by REST.")
    recorded = stack.metadata.run("pg_dump", "metadata")
    assert all(f"{name}.ChampionDetect" in recorded for name in NAMES)
    assert recorded.count("Seen by REST.") == len(NAMES)
