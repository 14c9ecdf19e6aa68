"""One DAG a compiled config: `classlift_retrain_<name>`. Reads JSON, imports no TFX."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Param, TaskGroup
from operators import NodeOperator
from topologies import compiled_folders

# LocalExecutor has no queues; a pool it has.
ON_GPU = {"queue": "gpu", "pool": "gpu"}


def build_dag(compiled: Path) -> DAG:
    """The DAG of one compiled config, a task a node, a group a phase."""
    topology = json.loads((compiled / "topology.json").read_text())
    dag = DAG(
        f"classlift_retrain_{topology['name']}",
        description="Diagnose, rebalance, train, gate on per-class recall, push",
        schedule=None,
        catchup=False,
        max_active_runs=1,
        params={
            name: Param(topology["defaults"][name], **schema)
            for name, schema in topology["parameters"].items()
        },
        default_args={"retries": 1, "retry_delay": timedelta(seconds=30)},
        tags=["classlift"],
    )
    groups: dict[str, TaskGroup] = {}
    tasks: dict[str, Any] = {}
    with dag:
        for node in topology["nodes"]:
            phase = node["phase"]
            if phase not in groups:
                groups[phase] = TaskGroup(phase, prefix_group_id=False)
            tasks[node["id"]] = NodeOperator(
                task_id=node["id"],
                task_group=groups[phase],
                node=node["id"],
                compiled=str(compiled),
                **(ON_GPU if node["on_gpu"] else {}),
            )
        for node in topology["nodes"]:
            for upstream in node["upstream"]:
                tasks[upstream] >> tasks[node["id"]]
    return dag


for _folder in compiled_folders():
    _dag = build_dag(_folder)
    globals()[_dag.dag_id] = _dag
