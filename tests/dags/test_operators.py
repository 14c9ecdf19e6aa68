"""What becomes of a process when its task ends before it does, in Airflow's own Python."""

import json
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from classlift.environment import UMASK_VARIABLE
from pipelines.airflow import BIN, PRIVATE, airflow_environment, migrate
from tests.airflow_server import wait

pytestmark = pytest.mark.pipeline
ROOT = Path(__file__).resolve().parents[2]

DAG = """
import sys
from datetime import timedelta
sys.path.insert(0, {dags!r})
from airflow.sdk import DAG
from operators import ProcessOperator

class Sleep(ProcessOperator):
    def words(self, context):
        return ["timeit", "-n1", "-r1", {statement!r}]

with DAG("sleeps"):
    Sleep(task_id="sleep", execution_timeout=timedelta(seconds=8))
"""
STATEMENT = """
import json, os, subprocess, sys, time
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
seen = [os.getpid(), child.pid, os.environ.get('SECRET'), os.umask(0)]
open({path!r}, 'w').write(json.dumps(seen))
time.sleep(600)
"""


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_task_that_takes_too_long_ends_its_process_and_the_children(tmp_path):
    pids = tmp_path / "pids.json"
    (tmp_path / "dags").mkdir()
    text = DAG.format(dags=str(ROOT / "dags"), statement=STATEMENT.format(path=str(pids)))
    (tmp_path / "dags" / "sleeps.py").write_text(text)
    migrate(tmp_path / "home")
    environment = airflow_environment(tmp_path / "home")
    environment |= {"AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"), "SECRET": "sesame"}
    started = time.monotonic()
    result = subprocess.run(
        [BIN / "airflow", "dags", "test", "sleeps"],
        env=environment,
        umask=PRIVATE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert time.monotonic() - started < 300
    assert "AirflowTaskTimeout" in result.stdout
    process, child, secret, umask = json.loads(pids.read_text())
    assert secret is None  # what a process sees of the worker's environment is listed
    assert f"{umask:o}" == environment[UMASK_VARIABLE]  # not Airflow's: others read what is served
    wait("the end of both", lambda: not alive(process) and not alive(child), 30)


SAID = """
import sys
sys.path.insert(0, sys.argv[1])
from airflow.sdk.exceptions import AirflowException
from operators import ProcessOperator

class Node(ProcessOperator):
    def words(self, context):
        return ["timeit", "-n1", "-r1", sys.argv[2]]

import logging
logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
try:
    print("returned:", Node(task_id="node").execute({}))
except AirflowException as error:
    print("failed:", error)
"""
LINES = r"""
import os
print("classlift| Trainer: starting")
print("W0000 TensorFlow has something to say")
print("import of apache_beam halted", end="")
print("classlift| Trainer: done")
"""


@pytest.mark.parametrize(
    ("statement", "verbose", "shown", "hidden"),
    [
        (LINES, "", ["Trainer: starting", "Trainer: done", "returned: Trainer: done"], "W0000"),
        (LINES, "1", ["W0000 TensorFlow has something to say", "returned: Trainer: done"], "|"),
        # what it could not name, is in what libraries wrote
        (LINES + "os._exit(7)", "", ["W0000", "failed: exit code 7: Trainer: done"], "|"),
        # what marks nothing, is shown
        ("print('served again: version 3')", "", ["served again: version 3"], "|"),
    ],
)
def test_a_task_logs_what_its_process_says(tmp_path, statement, verbose, shown, hidden):
    environment = airflow_environment(tmp_path / "home")
    result = subprocess.run(
        [BIN / "python", "-c", SAID, ROOT / "dags", statement],
        env={**environment, "CLASSLIFT_VERBOSE": verbose},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    for line in shown:
        assert line in result.stdout
    assert hidden not in result.stdout
    assert result.stdout.count("Trainer: starting") == ("starting" in statement)


ASKED = """
import json, sys
from pathlib import Path
from types import SimpleNamespace
work, answer, verdict = sys.argv[1:4]
sys.path.insert(0, sys.argv[4])
from operators import PushOperator

folder = Path(work, "runs", "one", "evaluation")
folder.mkdir(parents=True, exist_ok=True)
record = {"verdict": verdict, "target": "8", "sentence": "", "reasons": [], "classes": {}}
record |= {"champion": "version 6", "pushed": None}
(folder / "verdict.json").write_text(json.dumps(record))
context = {
    "run_id": "one",
    "params": {"steps": 5},
    "dag_run": SimpleNamespace(conf={}),
    "ti": SimpleNamespace(xcom_pull=lambda task_ids: json.loads(answer)),
}
topology = SimpleNamespace(compiled="compiled", work=work, name="x", form={}, defaults={})
operator = PushOperator(task_id="Pusher", node="Pusher", topology=topology)
print(json.dumps([operator.words(context), operator.variables(context)]))
"""
ANSWER = {
    "responded_by_user": {"name": "Ada"},
    "params_input": {"reason": "--run=two $(touch pwned)"},
}


@pytest.mark.parametrize(
    ("verdict", "answer", "module", "approval"),
    [
        ("push", None, "pipelines.run_node", None),  # nobody was asked
        ("push", ANSWER, "pipelines.run_node", {"by": "Ada", "reason": "--run=two $(touch pwned)"}),
        ("inconclusive", ANSWER, "pipelines.override", None),
    ],
)
def test_who_approved_is_passed_on(tmp_path, verdict, answer, module, approval):
    result = subprocess.run(
        [BIN / "python", "-c", ASKED, tmp_path, json.dumps(answer), verdict, ROOT / "dags"],
        env=airflow_environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    words, variables = json.loads(result.stdout.splitlines()[-1])
    assert words[0] == module
    if module == "pipelines.override":  # its command line says who
        assert words[-2:] == ["--by=Ada", "--reason=--run=two $(touch pwned)"]
    else:
        assert json.loads(variables.get("CLASSLIFT_APPROVAL", "null")) == approval
        assert json.loads(variables["CLASSLIFT_PARAMETERS"]) == {"steps": 5}
