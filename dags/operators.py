"""The operators that start processes of the ML environment. Imports Airflow and nothing of ours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from abc import abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import variables
from airflow.sdk import Asset, BaseOperator, BaseOperatorLink
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from topologies import ROOT, Topology
from verdicts import PUSH, read_verdict

ML_PYTHON = os.environ.get(variables.ML_PYTHON, str(ROOT / ".venv" / "ml" / "bin" / "python"))

APPROVAL = "Approval"
"""The task that asks a person; what it returns names who answered."""

EXIT_NOTHING_TO_DO, EXIT_PERMANENT = 99, 78
KILL_AFTER = 20  # seconds between SIGTERM and SIGKILL

MARK = "classlift| "
"""Begins what a node says, among all that libraries write (`classlift/progress.py`)."""

KEPT_LINES = 200
"""Of what libraries wrote, shown where a process ends by a fault that it can't name."""


@contextmanager
def _umask_of_user() -> Iterator[None]:
    """The umask of whoever started Airflow, whose own files are closed to others: what a process
    pushes, TF Serving must be able to read.
    """
    umask = os.environ.get(variables.UMASK)
    before = os.umask(int(umask, 8)) if umask else None
    try:
        yield
    finally:
        if before is not None:
            os.umask(before)


def given(context: Any) -> dict[str, Any]:
    """What a run was given: the form's values, and whatever else, which Airflow accepts."""
    return {**context["params"], **(context["dag_run"].conf or {})}


class ProcessOperator(BaseOperator):
    """Runs a module of the project in the ML environment.

    No shell anywhere: the command is a list of words, and nothing is rendered by Jinja.

    Exit code 0 is success, 99 skips the task, 78 fails it without a retry, anything else is worth
    a retry. The task's log has what the process says. Where it marks its lines, as nodes do, those
    of the libraries beside them are shown only where it failed for a reason that it can't name, or
    with CLASSLIFT_VERBOSE.

    When the task is killed, the whole process group is; when this very process is, by
    SIGKILL, ours sees to its end itself (`classlift.parent`).
    """

    template_fields = ()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._process: subprocess.Popen[str] | None = None

    @abstractmethod
    def words(self, context: Any) -> list[str]:
        """What stands after `python -m`: a module and its arguments."""

    def variables(self, context: Any) -> dict[str, str]:
        """What the process finds in its environment beyond `variables.PASSED_ON`."""
        return {}

    def execute(self, context: Any) -> Any:
        """Runs the process; the last line that it says is returned."""
        environment = {name: os.environ[name] for name in variables.PASSED_ON if name in os.environ}
        environment |= {
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(ROOT),
            "PYTHONUTF8": "1",
            variables.PARENT: str(os.getpid()),  # it ends when this process does
        }
        command = [ML_PYTHON, "-m", *self.words(context)]
        with _umask_of_user():
            self._process = subprocess.Popen(
                command,
                env=environment | self.variables(context),
                cwd=str(ROOT),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="backslashreplace",
                start_new_session=True,  # its whole group ends with the task
            )
        said = self._follow(self._process)
        code = self._process.returncode
        if code == EXIT_NOTHING_TO_DO:
            raise AirflowSkipException(said)
        if code == EXIT_PERMANENT:
            raise AirflowFailException(said)
        if code != 0:
            raise AirflowException(f"exit code {code}: {said}")
        return said

    def _follow(self, process: subprocess.Popen[str]) -> str:
        """Logs what a process says until it ends; returns the last line."""
        is_verbose = bool(os.environ.get(variables.VERBOSE))
        beside: deque[str] = deque(maxlen=KEPT_LINES)
        said, is_marked = "", False
        for line in process.stdout or ():
            before, mark, own = line.rstrip().partition(MARK)
            is_marked = is_marked or bool(mark)
            if not is_marked or mark:
                said = own if mark else before
                self.log.info("%s", said)
            elif is_verbose:
                self.log.info("%s", before)
            else:
                beside.append(before)
        if process.wait() not in (0, EXIT_NOTHING_TO_DO, EXIT_PERMANENT):
            for line in beside:
                self.log.info("%s", line)
        return said

    def on_kill(self) -> None:
        """Ends the whole process group."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(KILL_AFTER)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def shown(topology: Topology) -> dict[str, Any]:
    """What the form shows in each field: the config's value, or else the default of a switch.

    A field that takes several shows one as a list.

    Args:
        topology: of the compiled config.

    Returns:
        The values by name.

    """
    held = {
        name: schema.get("default") if topology.defaults[name] is None else topology.defaults[name]
        for name, schema in topology.form.items()
    }
    return {
        name: [value]
        if isinstance(value, str) and "array" in topology.form[name].get("type", ())
        else value
        for name, value in held.items()
    }


class NodeOperator(ProcessOperator):
    """Runs `python -m pipelines.run_node`; the run's parameters travel as one JSON value.

    What is as the form shows it is left out, so that a switch that nobody touched asks for nothing.

    Args:
        node: id of the node.
        topology: of the compiled config.

    """

    def __init__(self, *, node: str, topology: Topology, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.node = node
        self.compiled = str(topology.compiled)
        self.shown = shown(topology)

    def words(self, context: Any) -> list[str]:
        """The node's command line; nothing in it but the run's id is not ours."""
        words = ["pipelines.run_node", "--compiled", self.compiled, "--node", self.node]
        return [*words, f"--run-id={context['run_id']}"]

    def variables(self, context: Any) -> dict[str, str]:
        """The parameters; the node refuses those that it does not know."""
        values = {
            name: value
            for name, value in given(context).items()
            if name not in self.shown or value != self.shown[name]
        }
        return {variables.PARAMETERS: json.dumps(values)}


class NewLabelsOperator(NodeOperator):
    """Skips a run that nobody started when too little is new, see `pipelines.new_labels`."""

    def execute(self, context: Any) -> str:
        """Asks nothing of a run that a person started."""
        if context["dag_run"].run_type not in ("scheduled", "asset_triggered"):
            return "started by hand"
        return super().execute(context)

    def words(self, context: Any) -> list[str]:
        """The command line; nothing in it but the run's id is not ours."""
        module = "pipelines.new_labels"
        return [module, "--compiled", self.compiled, f"--run-id={context['run_id']}"]


class PushOperator(NodeOperator):
    """The push; what the gate left open and a person approved is pushed in that person's name.

    Returns the verdict with the version, and emits the asset of the model with the same beside it.
    A run that pushes nothing, for its model was pushed before, is skipped, and emits none.
    """

    def __init__(self, *, topology: Topology, **kwargs: Any) -> None:
        model = Asset(f"models/{topology.name}")
        super().__init__(topology=topology, outlets=[model], **kwargs)
        self.work = topology.work
        self.model = model

    def execute(self, context: Any) -> dict[str, Any]:
        """Pushes, and tells who follows the model."""
        super().execute(context)
        verdict = read_verdict(self.work, context["run_id"])
        if verdict.pushed is None:
            raise AirflowSkipException("This model was pushed before, and nothing is pushed twice.")
        context["outlet_events"][self.model].extra = verdict.as_dict()
        return verdict.as_dict()

    def words(self, context: Any) -> list[str]:
        """The node, or a person's push; what the person wrote can't become an option."""
        answer = context["ti"].xcom_pull(task_ids=APPROVAL)
        if not answer or read_verdict(self.work, context["run_id"]).verdict == PUSH:
            return super().words(context)
        by, reason = self._signature(answer)
        words = ["pipelines.override", "--compiled", self.compiled]
        return [*words, f"--run-id={context['run_id']}", f"--by={by}", f"--reason={reason}"]

    def variables(self, context: Any) -> dict[str, str]:
        """For the node also who approved of a push that the gate blessed, to be recorded."""
        answer = context["ti"].xcom_pull(task_ids=APPROVAL)
        if not answer:
            return super().variables(context)
        by, reason = self._signature(answer)
        approval = json.dumps({"by": by, "reason": reason})
        return {**super().variables(context), variables.APPROVAL: approval}

    def _signature(self, answer: dict[str, Any]) -> tuple[str, str]:
        """Name and reason of the person who answered."""
        return answer["responded_by_user"]["name"], answer["params_input"]["reason"]


def page_url(path: str) -> str:
    """The address of a page of `plugins/classlift_pages.py`."""
    base = conf.get("api", "base_url", fallback="").rstrip("/")
    return f"{base}/classlift/{path}"


def report_url(dag_id: str, run_id: str) -> str:
    """Where the report of a run is shown."""
    return page_url(f"{dag_id}/runs/{quote(run_id, safe='')}/report")


class ReportLink(BaseOperatorLink):
    """A button on the gate that opens its report."""

    name = "Report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Its address, on Airflow's own server."""
        return report_url(ti_key.dag_id, ti_key.run_id)


class GateOperator(NodeOperator):
    """The gate: it returns its verdict, and links to the report that it writes."""

    operator_extra_links = (ReportLink(),)

    def __init__(self, *, topology: Topology, **kwargs: Any) -> None:
        super().__init__(topology=topology, **kwargs)
        self.work = topology.work

    def execute(self, context: Any) -> dict[str, Any]:
        """Judges; what was found, as XCom."""
        super().execute(context)
        return read_verdict(self.work, context["run_id"]).as_dict()
