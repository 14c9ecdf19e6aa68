"""The operators that start processes of the ML environment. Imports Airflow and nothing of ours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from abc import abstractmethod
from pathlib import Path
from typing import Any

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

ROOT = Path(__file__).resolve().parent.parent
ML_PYTHON = os.environ.get("CLASSLIFT_ML_PYTHON", str(ROOT / ".venv" / "ml" / "bin" / "python"))

EXIT_NOTHING_TO_DO, EXIT_PERMANENT = 99, 78
KILL_AFTER = 20  # seconds between SIGTERM and SIGKILL

# What of the worker's environment a process sees: no secret of Airflow's is among it. PGPASSWORD is
# of ML Metadata's database, which nodes write to.
PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "TF_CONFIG",
    "CLASSLIFT_COMPILED",
    "CLASSLIFT_METADATA",
    "CLASSLIFT_VERBOSE",
    "PGPASSWORD",
)


class ProcessOperator(BaseOperator):
    """Runs a module of the project in the ML environment.

    No shell anywhere: the command is a list of words, and nothing is rendered by Jinja.

    Exit code 0 is success, 99 skips the task, 78 fails it without a retry, anything else is worth
    a retry. When the task is killed, the whole process group is.
    """

    template_fields = ()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._hook = SubprocessHook()

    @abstractmethod
    def words(self, context: Any) -> list[str]:
        """What stands after `python -m`: a module and its arguments."""

    def variables(self, context: Any) -> dict[str, str]:
        """What the process finds in its environment beyond `PASSED_ON`."""
        return {}

    def execute(self, context: Any) -> str:
        """Runs the process; its last line of output is returned."""
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environment |= {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
        result = self._hook.run_command(
            command=[ML_PYTHON, "-m", *self.words(context)],
            env=environment | self.variables(context),
            cwd=str(ROOT),
        )
        if result.exit_code == EXIT_NOTHING_TO_DO:
            raise AirflowSkipException(result.output)
        if result.exit_code == EXIT_PERMANENT:
            raise AirflowFailException(result.output)
        if result.exit_code != 0:
            raise AirflowException(f"exit code {result.exit_code}: {result.output}")
        return result.output

    def on_kill(self) -> None:
        """Ends the whole process group."""
        process = self._hook.sub_process
        if process is None or process.poll() is not None:
            return
        os.killpg(process.pid, signal.SIGTERM)  # the hook made it the leader of a session
        try:
            process.wait(KILL_AFTER)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


class NodeOperator(ProcessOperator):
    """Runs `python -m pipelines.run_node`; the run's parameters travel as one JSON value.

    node: id of the node. compiled: folder of the compiled pipeline.
    """

    def __init__(self, *, node: str, compiled: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.node = node
        self.compiled = compiled

    def words(self, context: Any) -> list[str]:
        """The node's command line; nothing in it but the run's id is not ours."""
        words = ["pipelines.run_node", "--compiled", self.compiled, "--node", self.node]
        return [*words, f"--run-id={context['run_id']}"]

    def variables(self, context: Any) -> dict[str, str]:
        """The parameters. Airflow accepts unknown keys in a run's conf; the node refuses them."""
        given = {**context["params"], **(context["dag_run"].conf or {})}
        return {"CLASSLIFT_PARAMETERS": json.dumps(given)}
