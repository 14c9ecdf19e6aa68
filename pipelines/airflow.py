"""Starting Airflow from a checkout: its environment, its database, one run of a DAG, the UI."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from components.errors import ConfigError
from components.progress import MARK

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "airflow" / "bin"
# A line of a node in the task log: what stands after it is Airflow's.
_PROGRESS = re.compile(re.escape(MARK) + r"(.*?)\s+\[airflow\.task\.hooks\S*SubprocessHook\]")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def airflow_environment(home: Path) -> dict[str, str]:
    """The environment in which `airflow` finds this project, with SQLite under `home`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "PYTHON"))}
    return {
        **kept,
        "PATH": f"{BIN}:{os.environ.get('PATH', '')}",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }


def migrate(home: Path) -> None:
    """Makes or updates Airflow's database; quick when it is current."""
    home.mkdir(parents=True, exist_ok=True)
    _prepare(home, "db", "migrate")


def make_pool(home: Path) -> None:
    """Makes the pool of the nodes that want a GPU; a scheduler needs it, `dags test` does not."""
    _prepare(home, "pools", "set", "gpu", "1", "One training at a time.")


def _prepare(home: Path, *words: str) -> None:
    path = home / "migrate.log"
    with path.open("w") as log:
        result = subprocess.run(
            [BIN / "airflow", *words],
            env=airflow_environment(home),
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if result.returncode:
        raise ConfigError(f"Airflow's database could not be prepared; see {path}.")


def run_dag(
    dag_id: str,
    parameters: Mapping[str, Any],
    home: Path,
    log: Path,
    show: Callable[[str], None],
    verbose: bool = False,
) -> int:
    """One run of a DAG through `airflow dags test`; returns its exit code.

    show gets the progress lines of the nodes; the whole output goes to `log`.
    """
    command = [BIN / "airflow", "dags", "test", dag_id, "--conf", json.dumps(dict(parameters))]
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w") as file,
        subprocess.Popen(
            command,
            env=airflow_environment(home),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        for line in process.stdout or ():
            file.write(line)
            progress = _PROGRESS.search(_COLOUR.sub("", line))
            if progress:
                show(progress.group(1))
            elif verbose:
                show(line.rstrip())
    return process.returncode
