"""The operator that runs one node of a compiled pipeline. Imports Airflow and nothing of ours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import Any

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

EXIT_NOTHING_TO_DO, EXIT_PERMANENT = 99, 78
KILL_AFTER = 20  # seconds between SIGTERM and SIGKILL

# What of the worker's environment a node sees: no secret of Airflow's is among it. PGPASSWORD is of
# ML Metadata's database, which the node writes to.
PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "TF_CONFIG",
    "CLASSLIFT_VERBOSE",
    "PGPASSWORD",
)


class NodeOperator(BaseOperator):
    """Runs `python -m pipelines.run_node` in the ML environment.

    No shell anywhere: the command is a list of our own words, and what a user set for the run
    travels as one JSON value in the environment. Nothing is rendered by Jinja.

    Exit code 0 is success, 99 skips the task, 78 fails it without a retry, anything else is worth
    a retry. When the task is killed, the node's whole process group is.

    node: id of the node. compiled: folder of the compiled pipeline. python: of the ML
    environment. root: the project's folder.
    """

    template_fields = ()

    def __init__(self, *, node: str, compiled: str, python: str, root: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.node = node
        self.compiled = compiled
        self.python = python
        self.root = root
        self._hook = SubprocessHook()

    def execute(self, context: Any) -> str:
        """Runs the node; its last line of output is returned."""
        # Airflow accepts unknown keys in a run's conf; the node refuses them.
        given = {**context["params"], **(context["dag_run"].conf or {})}
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environment |= {
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": self.root,
            "CLASSLIFT_PARAMETERS": json.dumps(given),
        }
        command = [self.python, "-m", "pipelines.run_node", "--compiled", self.compiled]
        command += ["--node", self.node, "--run-id", context["run_id"]]
        result = self._hook.run_command(command=command, env=environment, cwd=self.root)
        if result.exit_code == EXIT_NOTHING_TO_DO:
            raise AirflowSkipException(result.output)
        if result.exit_code == EXIT_PERMANENT:
            raise AirflowFailException(result.output)
        if result.exit_code != 0:
            raise AirflowException(f"exit code {result.exit_code}: {result.output}")
        return result.output

    def on_kill(self) -> None:
        """Ends the whole process group of the node."""
        process = self._hook.sub_process
        if process is None or process.poll() is not None:
            return
        os.killpg(process.pid, signal.SIGTERM)  # the hook made it the leader of a session
        try:
            process.wait(KILL_AFTER)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
