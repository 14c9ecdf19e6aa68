"""One DAG a compiled config: `classlift_retrain_<name>`. Reads JSON, imports no TFX."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, CronTriggerTimetable, Param, TaskGroup
from approval import FORM, VerdictApproval
from notify import FAILED, PUSHED, REFUSED, WAITING, Notifier
from operators import GateOperator, NewLabelsOperator, NodeOperator, PushOperator
from topologies import compiled_folders

# LocalExecutor has no queues; a pool it has.
ON_GPU = {"queue": "gpu", "pool": "gpu"}
LONGEST, LONGEST_TRAINING = timedelta(hours=6), timedelta(hours=48)


def build_dag(compiled: Path) -> DAG:
    """The DAG of one compiled config, a task a node, a group a phase."""
    topology = json.loads((compiled / "topology.json").read_text())
    name, work, wishes = topology["name"], topology["work"], topology["airflow"]
    to_tell = {"email": wishes["email"], "webhook": wishes["webhook"]}
    tell = partial(Notifier, name=name, work=work, **to_tell) if any(to_tell.values()) else None
    dag = DAG(
        f"classlift_retrain_{name}",
        description="Diagnose, rebalance, train, gate on per-class recall, push",
        doc_md=_about(topology),
        schedule=_schedule(name, wishes["cron"]),
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        default_args={
            "owner": wishes["owner"],
            "retries": 2,
            "retry_delay": timedelta(seconds=30),
            "retry_exponential_backoff": True,
            "max_retry_delay": timedelta(minutes=10),
            "on_failure_callback": tell(FAILED) if tell else None,
        },
        tags=["classlift", name],
    )
    with dag:
        groups = {
            phase: TaskGroup(phase, prefix_group_id=False)
            for phase in dict.fromkeys(node["phase"] for node in topology["nodes"])
        }
        tasks: dict[str, Any] = {}
        for node in topology["nodes"]:
            kind: type[NodeOperator] = NodeOperator
            extra: dict[str, Any] = {}
            if node["id"] == "RecallGate":
                kind, extra = GateOperator, {"on_success_callback": tell and tell(REFUSED)}
            elif node["id"] == "Pusher":
                kind, extra = PushOperator, {"on_success_callback": tell and tell(PUSHED)}
                extra |= {"config": topology["config"], "work": work}
            tasks[node["id"]] = kind(
                task_id=node["id"],
                task_group=groups[node["phase"]],
                node=node["id"],
                compiled=str(compiled),
                doc_md=node["about"],
                execution_timeout=LONGEST_TRAINING if node["id"] == "Trainer" else LONGEST,
                **extra,
                **(ON_GPU if node["on_gpu"] else {}),
            )
        for node in topology["nodes"]:
            for upstream in node["upstream"]:
                tasks[upstream] >> tasks[node["id"]]
        new_labels = NewLabelsOperator(
            task_id="NewLabels",
            task_group=groups["data"],
            node="NewLabels",
            compiled=str(compiled),
            doc_md="Ends a run that nobody started when too few objects of the class are new.",
        )
        tasks["DatasetSnapshot"] >> new_labels >> tasks["DataValidator"]
        approval = VerdictApproval(
            work=work,
            params=dict(FORM),
            task_group=groups["push"],
            retries=1,  # Airflow fails a task that is answered within seconds: then it asks again
            doc_md="Passes where the gate says push; asks a person where it left the push open.",
            notifiers=[tell(WAITING)] if tell else [],
        )
        [tasks["RecallGate"], tasks["ServingCheck"]] >> approval >> tasks["Pusher"]
    # Last: Airflow copies them in depth into each task that is made after them, and gives them to a
    # task that runs all the same.
    dag.params = {
        key: Param(topology["defaults"][key], **schema)
        for key, schema in topology["parameters"].items()
    }
    return dag


def _schedule(name: str, cron: str | None) -> Any:
    """Runs start when somebody says that labels have arrived, and by the clock if a cron is set."""
    labels = Asset(f"labels/{name}")
    if cron is None:
        return [labels]
    timetable = CronTriggerTimetable(cron, timezone="UTC")
    return AssetOrTimeSchedule(timetable=timetable, assets=[labels])


def _about(topology: dict[str, Any]) -> str:
    least = topology["airflow"]["min_new_objects"]
    return (
        f"Raises the recall of one class of the model of `{topology['config']}`, and pushes only "
        "on evidence. Start it with the form, or raise the asset event "
        f"`labels/{topology['name']}` when labels have arrived; with fewer than {least} new "
        "objects of the class, a run that nobody started by hand ends early. The gate's **Report** "
        f"link shows the verdict; all files are in `{topology['work']}`."
    )


for _folder in compiled_folders():
    _dag = build_dag(_folder)
    globals()[_dag.dag_id] = _dag
