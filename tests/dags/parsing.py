"""DAG files in Airflow's own Python: what they make, what they import."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from pipelines import compile
from pipelines.airflow import BIN, airflow_environment, migrate
from pipelines.config import load_config
from pipelines.nodes import NODES

ROOT = Path(__file__).resolve().parents[2]
_PARSE = """
import importlib, json, sys
import airflow.sdk
import airflow.providers.standard.hooks.subprocess
import airflow.providers.standard.operators.trigger_dagrun
sys.path.insert(0, sys.argv[1])
module = importlib.import_module(sys.argv[2])
dags = [dag for dag in vars(module).values() if isinstance(dag, airflow.sdk.DAG)]
ours = {"tfx", "tensorflow", "components", "pipelines", "ml_metadata"} & set(sys.modules)
print(json.dumps({
    "dags": {
        dag.dag_id: {
            "schedule": dag.schedule and str(dag.schedule),
            "catchup": dag.catchup,
            "max_active_runs": dag.max_active_runs,
            "upstream": {t.task_id: sorted(t.upstream_task_ids) for t in dag.tasks},
            "retries": {t.task_id: t.retries for t in dag.tasks},
            "groups": sorted(dag.task_group.get_task_group_dict().keys() - {None}),
            "on_gpu": sorted(t.task_id for t in dag.tasks if (t.queue, t.pool) == ("gpu", "gpu")),
            "timetable": type(dag.timetable).__name__,
            "assets": [a.name for a in getattr(dag.timetable.asset_condition, "objects", [])],
            "told": sorted(t.task_id for t in dag.tasks if t.on_success_callback),
            "told_of_failures": all(t.on_failure_callback for t in dag.tasks),
            "docs": bool(dag.doc_md) and all(t.doc_md for t in dag.tasks),
            "shown": {
                name: param.value if param.has_value else None
                for name, param in ((name, dag.params.get_param(name)) for name in dag.params)
            },
            "params": {name: dag.params.get_param(name).schema for name in dag.params},
        }
        for dag in dags
    },
    "imported": sorted(ours),
}))
"""
_RUN = """
import importlib, json, sys
from airflow import settings
settings.initialize()
sys.path.insert(0, sys.argv[1])
dag = getattr(importlib.import_module(sys.argv[2]), sys.argv[3])
states = [str(dag.test(run_conf=conf).state.value) for conf in json.loads(sys.argv[4])]
print("\\n" + json.dumps(states))
"""


def write_topology(compiled: Path, name: str, **parts: Any) -> None:
    """The topology of the demo's config with another name and, of `Config`, other parts."""
    folders = {key: compiled.parent / name / key for key in ("work", "serving")}
    config = load_config(ROOT / "configs" / "digits.yaml")
    config = replace(config, name=name, **{**folders, **parts})
    before: list[str] = []
    nodes = []
    for node in NODES:  # one after the other
        info = SimpleNamespace(node_info=SimpleNamespace(id=node.id), upstream_nodes=before)
        nodes.append(SimpleNamespace(pipeline_node=info))
        before = [node.id]
    with (
        patch.dict("os.environ", CLASSLIFT_COMPILED=str(compiled)),
        patch.object(compile, "_compile", return_value=SimpleNamespace(nodes=nodes)),
    ):
        compile.write_compiled(config)


def parse(module: str, compiled: Path, home: Path) -> dict[str, Any]:
    """What the DAG file makes of the compiled configs."""
    result = subprocess.run(
        [BIN / "python", "-c", _PARSE, str(ROOT / "dags"), module],
        env={**airflow_environment(home), "CLASSLIFT_COMPILED": str(compiled)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def run_all(
    module: str,
    dag_id: str,
    confs: list[dict[str, Any]],
    compiled: Path,
    home: Path,
    **variables: str,
) -> tuple[list[str], str]:
    """Runs a DAG once with each conf, in one process: the state of each run, and all that was said.

    As `airflow dags test` does, on a database of its own.
    """
    migrate(home)
    result = subprocess.run(
        [BIN / "python", "-c", _RUN, str(ROOT / "dags"), module, dag_id, json.dumps(confs)],
        env={**airflow_environment(home), "CLASSLIFT_COMPILED": str(compiled), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:]
    *said, states = result.stdout.splitlines()
    return json.loads(states), "\n".join(said)
