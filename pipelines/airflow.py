"""Starting Airflow from a checkout: its environment, its database, one run of a DAG, the UI."""

import contextlib
import json
import logging
import os
import re
import signal
import stat
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from classlift import own_folders
from classlift.environment import PROGRESS_VARIABLE, UMASK_VARIABLE
from classlift.errors import EXIT_OK, ConfigError
from pipelines.places import LONGEST_RUN_ID

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "airflow" / "bin"
# Of the user's own settings of Airflow: another database than SQLite, who may log in, whom to tell.
_KEPT = ("AIRFLOW__DATABASE__", "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_", "AIRFLOW_CONN_")
PORT, MOST_PORT = "8080", 65535
RUN_IDS = rf"^[A-Za-z0-9_~:+-][A-Za-z0-9_.~:+-]{{0,{LONGEST_RUN_ID - 1}}}\Z"
"""As Airflow's own, but for a dot at the beginning and the length: what can't name the folder of a
run is refused when it is asked for."""
STOP_AFTER = 30  # seconds between SIGTERM and SIGKILL
SQLITE_WAIT = 60
"""Seconds to wait for another writer of Airflow's SQLite. The driver's own five are too few on a
busy machine: then what is asked of the API fails, with status 500."""
PASSWORDS = "simple_auth_manager_passwords.json.generated"
"""The file below Airflow's home with a password for each user."""

PRIVATE = 0o077
"""The umask of Airflow's processes: nobody else may read their database, logs and passwords."""


# What the api-server does when it starts, but for its output: that holds each new password.
_MAKE_PASSWORDS = """
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
SimpleAuthManager().init()
"""

SERVICES = {
    "api-server": ["api-server"],
    "scheduler": ["scheduler", "--skip-serve-logs"],  # they lie here; no port for them is opened
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}


def airflow_environment(home: Path) -> dict[str, str]:
    """The environment in which `airflow` finds this project; SQLite is under `home` by default."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if key.startswith(_KEPT) or not key.startswith(("AIRFLOW", "PYTHON"))
    }
    return {
        UMASK_VARIABLE: f"{_umask():o}",
        "AIRFLOW__API__PORT": os.environ.get("AIRFLOW__API__PORT", PORT),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db?timeout={SQLITE_WAIT}",
        **kept,
        "PYTHONUTF8": "1",  # whatever the user's locale is
        "PATH": f"{BIN}:{os.environ.get('PATH', '')}",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "dags" / "plugins"),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords_file(home)),
        # Airflow sets the modes of these itself, whatever the umask is.
        "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS": "0o600",
        "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS": "0o700",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        "AIRFLOW__SCHEDULER__ALLOWED_RUN_ID_PATTERN": RUN_IDS,
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }


def airflow_port() -> int:
    """The port of Airflow's server. Raises ConfigError where AIRFLOW__API__PORT names none."""
    named = os.environ.get("AIRFLOW__API__PORT", PORT)
    if not re.fullmatch("[0-9]{1,5}", named) or not 1 <= int(named) <= MOST_PORT:
        raise ConfigError(
            f"AIRFLOW__API__PORT is {named[:20]!r}, and must be a port: a number, 1 to {MOST_PORT}."
        )
    return int(named)


def passwords_file(home: Path) -> Path:
    """The file with a password for each user of the Airflow of a home."""
    named = os.environ.get("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE")
    return Path(named) if named else home / PASSWORDS


def migrate(home: Path) -> None:
    """Makes or updates Airflow's database; quick when it is current.

    What the home holds is closed to others first, for an older version left it open. Raises
    ConfigError, and touches nothing, for a folder with content that is no home of Airflow.
    """
    if not (home / "airflow.cfg").exists():  # which earlier versions left there
        own_folders.require_own(home, own_folders.AIRFLOW)
    make_private(home)
    if not own_folders.is_own(home, own_folders.AIRFLOW):
        own_folders.write_mark(home, {"what": own_folders.AIRFLOW, "note": own_folders.NOTE})
        (home / own_folders.MARK).chmod(0o600)
    _prepare(home, "db", "migrate")


def make_private(home: Path) -> None:
    """Makes a folder that nobody else may read, or takes from one, and all in it, what others may.

    Links are not followed.

    Args:
        home: the folder.

    Raises:
        ConfigError: something in it belongs to somebody else.

    """
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    paths = [home]
    for folder, folders, files in os.walk(home):
        paths += [Path(folder, name) for name in (*folders, *files)]
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # a service that still runs removes its own
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode) or not mode & PRIVATE:
                continue
            try:
                path.chmod(stat.S_IMODE(mode) & ~PRIVATE)
            except PermissionError:
                raise ConfigError(
                    f"{path} is open to others and belongs to another user of this machine; "
                    f"make it yours, or move {home} away."
                ) from None


def make_passwords(home: Path) -> None:
    """Makes a password for each user of Airflow who has none, in a file and nowhere else.

    Args:
        home: of Airflow.

    Raises:
        ConfigError: Airflow can't make them.

    """
    result = subprocess.run(
        [BIN / "python", "-c", _MAKE_PASSWORDS],
        env=airflow_environment(home),
        umask=PRIVATE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    if result.returncode:
        raise ConfigError(
            f"Airflow could not make the passwords of its users in {passwords_file(home)}: can it "
            "be written, and is AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS, if you set it, a list "
            "like `ada:admin,bob:viewer`?"
        )


def make_pool(home: Path) -> None:
    """Makes the pool of the nodes that want a GPU; a scheduler needs it, `dags test` does not."""
    _prepare(home, "pools", "set", "gpu", "1", "One training at a time.")


def _prepare(home: Path, *words: str) -> None:
    path = home / "migrate.log"
    with open(path, "w", opener=_open_private) as log:
        result = subprocess.run(
            [BIN / "airflow", *words],
            env=airflow_environment(home),
            umask=PRIVATE,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if result.returncode:
        raise ConfigError(f"Airflow's database could not be prepared; see {path}.")


def serve(home: Path) -> int:
    """Runs Airflow's four services until one ends or SIGTERM or Ctrl-C comes; then all end.

    Args:
        home: of Airflow; what each service says is there.

    Returns:
        0 when asked to stop.

    Raises:
        ConfigError: a service has ended.

    """
    environment = airflow_environment(home)
    environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] = (
        f"http://127.0.0.1:{environment['AIRFLOW__API__PORT']}/execution/"
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        make_passwords(home)
        for name, words in SERVICES.items():
            with open(home / f"{name}.log", "w", opener=_open_private) as log:
                running[name] = subprocess.Popen(
                    [BIN / "airflow", *words],
                    env=environment,
                    umask=PRIVATE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        while True:
            for name, process in running.items():
                if process.poll() is not None:
                    raise ConfigError(f"Airflow's {name} has ended; see {home / name}.log.")
            time.sleep(1)
    except KeyboardInterrupt:
        return EXIT_OK
    finally:
        _stop(running.values())


def _open_private(path: str, flags: int) -> int:
    """Opens a file that nobody else may read, before anything is in it."""
    descriptor = os.open(path, flags, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor


def _umask() -> int:
    """The umask of this process, which can't be asked for without setting one."""
    umask = os.umask(PRIVATE)
    os.umask(umask)
    return umask


def _stop(processes: Iterable["subprocess.Popen[bytes]"]) -> None:
    """Ends services with all that they started: a task ends its node when it is told to end."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        alive = [process for process in processes if process.poll() is None]
        for process in alive:
            os.killpg(process.pid, number)
        for process in alive:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_AFTER)


def run_dag(
    dag_id: str,
    parameters: Mapping[str, Any],
    home: Path,
    log: Path,
    verbose: bool = False,
) -> int:
    """One run of a DAG through `airflow dags test`; the lines of the nodes are logged as they come.

    Args:
        dag_id: of the DAG.
        parameters: of the run.
        home: of Airflow.
        log: file for the whole output.
        verbose: whether that is logged too.

    Returns:
        The exit code of Airflow.

    """
    command = [str(BIN / "airflow"), "dags", "test", dag_id, "--conf", json.dumps(dict(parameters))]
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        open(log, "w", opener=_open_private) as file,
        tempfile.NamedTemporaryFile("r", encoding="utf-8") as lines,
        subprocess.Popen(
            command,
            env={**airflow_environment(home), PROGRESS_VARIABLE: lines.name},
            umask=PRIVATE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        coming: deque[str] = deque()
        for line in process.stdout or ():
            file.write(line)
            for said in lines:  # before a node's line comes through Airflow, it stands there
                logger.info(said.rstrip("\n"))
                coming.append(said.strip())
            if coming and coming[0] in line:
                coming.popleft()
            elif verbose:
                logger.info(line.rstrip())
    return process.returncode
