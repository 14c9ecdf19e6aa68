"""What Airflow on one host takes, idle and while the demo runs; how long a DAG file takes to read.

    make bench-deployment

Starts what `make airflow` starts, waits until it is quiet, and measures each service with all its
children; then a run of the demo is triggered through the REST API, and the largest figures are
kept until it ends. Memory is the proportional set size: what processes share is counted once. A
node is measured with its children, apart from the scheduler that started it. Of each DAG file, the
time to read it is what comes on top of Airflow's own imports, median of five processes.
"""

import contextlib
import json
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from demo.scenes import write_demo_data
from pipelines import airflow
from pipelines.config import load_config

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "build" / "airflow"
URL = f"http://127.0.0.1:{airflow.PORT}"
DAG = "classlift_retrain_digits"
START_SECONDS, QUIET_SECONDS, IDLE_SECONDS = 180, 60, 30
ENDED = ("success", "failed")
NODE = "nodes"
MODULES = ("retrain", "rollback", "watch")
READS = 5
READ = """
import sys, time
from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, BaseHook, BaseNotifier, BaseOperator
from airflow.sdk import BaseOperatorLink, CronTriggerTimetable, Param, TaskGroup
import airflow.sdk.configuration, airflow.sdk.exceptions
import airflow.providers.standard.hooks.subprocess
import airflow.providers.standard.operators.hitl
import airflow.providers.standard.operators.trigger_dagrun
sys.path.insert(0, sys.argv[1])
started = time.perf_counter()
__import__(sys.argv[2])
print(time.perf_counter() - started)
"""


def main() -> int:
    """Prints the tables."""
    write_demo_data(load_config(ROOT / "configs" / "digits.yaml").data_root)
    process = subprocess.Popen(
        [sys.executable, "-m", "classlift", "airflow"], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    server = psutil.Process(process.pid)
    try:
        _wait("Airflow", lambda: _ask("GET", "/api/v2/monitor/health"))
        time.sleep(QUIET_SECONDS)
        before = _cpu(server)
        until = time.monotonic() + IDLE_SECONDS
        idle = _peaks(server, lambda: time.monotonic() > until)
        share = (_cpu(server) - before) / IDLE_SECONDS
        passwords = json.loads((HOME / airflow.PASSWORDS).read_text())
        login = {"username": "admin", "password": passwords["admin"]}
        token = _ask("POST", "/auth/token", login)["access_token"]
        dag = f"/api/v2/dags/{DAG}"
        _wait("the DAG", lambda: _ask("GET", dag, token=token))
        _ask("PATCH", dag, {"is_paused": False}, token)
        started = time.monotonic()
        run = _ask("POST", f"{dag}/dagRuns", {"logical_date": None}, token)["dag_run_id"]
        path = f"{dag}/dagRuns/{run}"
        busy = _peaks(server, lambda: _ask("GET", path, token=token)["state"] in ENDED)
        seconds = time.monotonic() - started
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(90)
    print("| | MB, idle | MB at the most in a run |\n|---|---|---|")
    for name, most in busy.items():
        print(f"| {name} | {idle.get(name, 0):.0f} | {most:.0f} |")
    print(f"\nIdle, all of it takes {share:.0%} of a core; the run took {seconds:.0f} s.\n")
    for module in MODULES:
        times = [_read(module) for _ in range(READS)]
        print(f"dags/{module}.py is read in {1000 * statistics.median(times):.0f} ms")
    return 0


def _peaks(server: psutil.Process, ended: Callable[[], bool]) -> dict[str, float]:
    """The largest MB of each service, of the nodes, and of all at once, sampled each second."""
    started = sorted(server.children(), key=lambda process: process.create_time())
    services = {p.pid: name for p, name in zip(started, airflow.SERVICES, strict=True)}
    largest: dict[str, float] = {}
    while not ended():
        now = {**dict.fromkeys(airflow.SERVICES, 0.0), NODE: 0.0}
        for process in server.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                found = process.memory_full_info().pss / 1e6
                now[_owner([process, *process.parents()], services)] += found
        for name, found in {**now, "all at once": sum(now.values())}.items():
            largest[name] = max(largest.get(name, 0.0), found)
        time.sleep(1)
    return largest


def _owner(line: Sequence[psutil.Process], services: Mapping[int, str]) -> str:
    """What a process with these ancestors belongs to: a node, or the service that started it."""
    for process in line:
        if process.pid in services:
            return services[process.pid]
        if "pipelines.run_node" in process.cmdline():
            return NODE
    raise psutil.NoSuchProcess(line[0].pid)  # its service has ended


def _cpu(server: psutil.Process) -> float:
    """Seconds of processor time that what runs now has taken."""
    found = 0.0
    for process in server.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            found += times.user + times.system
    return found


def _ask(method: str, path: str, body: Any = None, token: str | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, method=method)  # noqa: S310, our own server
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.load(answer)


def _wait(what: str, answers: Callable[[], Any]) -> None:
    """Until nothing is refused any more."""
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            answers()
            return
        except OSError as error:
            if time.monotonic() > until:
                raise SystemExit(f"{what}: not there in {START_SECONDS} s ({error})") from None
            time.sleep(1)


def _read(module: str) -> float:
    """Seconds."""
    result = subprocess.run(
        [airflow.BIN / "python", "-c", READ, str(ROOT / "dags"), module],
        env=airflow.airflow_environment(HOME),
        capture_output=True,
        text=True,
        check=True,
    )
    return float(result.stdout.splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main())
