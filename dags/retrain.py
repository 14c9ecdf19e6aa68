"""One DAG a compiled config: `classlift_retrain_<name>`. Reads JSON, imports no TFX."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, CronTriggerTimetable, Param, TaskGroup
from approval import VerdictApproval
from notify import FAILED, WAITING, Notifier
from operators import GateOperator, NewLabelsOperator, NodeOperator, PushOperator, shown
from topologies import Topology, read_topologies

# LocalExecutor has no queues; a pool it has.
ON_GPU = {"queue": "gpu", "pool": "gpu"}
NEW_LABELS = "NewLabels"
PUSH = "push"
OPERATORS: dict[str, type[NodeOperator]] = {
    "plain": NodeOperator,
    "report": GateOperator,
    PUSH: PushOperator,
}
"""What is made of a node, by its row in `pipelines/nodes.py`."""


def build_dag(topology: Topology) -> DAG:
    """The DAG of one compiled config, a task a node, a group a phase."""
    tell = _notifier(topology)
    dag = DAG(
        topology.retrain_dag,
        description="Diagnose, rebalance, train, gate on per-class recall, push",
        doc_md=_about(topology),
        schedule=_schedule(topology),
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        default_args={
            "owner": topology.owner,
            "retries": 2,
            "retry_delay": timedelta(seconds=30),
            "retry_exponential_backoff": True,
            "max_retry_delay": timedelta(minutes=10),
            "on_failure_callback": tell(FAILED) if tell else None,
        },
        tags=["classlift", topology.name],
    )
    with dag:
        groups = {
            phase: TaskGroup(phase, prefix_group_id=False)
            for phase in dict.fromkeys(node.phase for node in topology.nodes)
        }
        tasks: dict[str, NodeOperator] = {}
        for node in topology.nodes:
            tasks[node.id] = OPERATORS[node.operator](
                task_id=node.id,
                task_group=groups[node.phase],
                node=node.id,
                topology=topology,
                doc_md=node.about,
                execution_timeout=timedelta(hours=node.hours),
                on_success_callback=tell(node.tells) if tell and node.tells else None,
                **(ON_GPU if node.on_gpu else {}),
            )
        for node in topology.nodes:
            before = [tasks[upstream] for upstream in node.upstream]
            before >> tasks[node.id]
            if node.needs_new_labels:
                before >> _new_labels(topology, groups[node.phase]) >> tasks[node.id]
            if node.operator == PUSH:
                blessing = [tasks[other.id] for other in topology.nodes if other.blesses]
                blessing >> _approval(topology, groups[node.phase], tell) >> tasks[node.id]
    # Last: Airflow copies them in depth into each task that is made after them, and gives them to a
    # task that runs all the same.
    dag.params = {key: _field(topology, key) for key in topology.form}
    return dag


def _field(topology: Topology, key: str) -> Param:
    """A field of the form, which shows what holds when a run leaves it alone."""
    schema = {name: part for name, part in topology.form[key].items() if name != "default"}
    return Param(shown(topology)[key], **schema)


def _notifier(topology: Topology) -> Callable[[str], Notifier] | None:
    """Makes the notifier of an event; None where nobody is to be told."""
    if not topology.email and not topology.webhook:
        return None
    return partial(
        Notifier,
        name=topology.name,
        work=topology.work,
        email=topology.email,
        webhook=topology.webhook,
    )


def _new_labels(topology: Topology, group: TaskGroup) -> NewLabelsOperator:
    return NewLabelsOperator(
        task_id=NEW_LABELS,
        node=NEW_LABELS,
        task_group=group,
        topology=topology,
        doc_md="Ends a run that nobody started when too few objects of the class are new.",
    )


def _approval(
    topology: Topology, group: TaskGroup, tell: Callable[[str], Notifier] | None
) -> VerdictApproval:
    return VerdictApproval(
        work=topology.work,
        task_group=group,
        retries=1,  # Airflow fails a task that is answered within seconds: then it asks again
        doc_md="Passes where the gate says push; asks a person where it left the push open.",
        notifiers=[tell(WAITING)] if tell else [],
    )


def _schedule(topology: Topology) -> Any:
    """Runs start when somebody says that labels have arrived, and by the clock if a cron is set."""
    labels = Asset(f"labels/{topology.name}")
    if topology.cron is None:
        return [labels]
    timetable = CronTriggerTimetable(topology.cron, timezone="UTC")
    return AssetOrTimeSchedule(timetable=timetable, assets=[labels])


def _about(topology: Topology) -> str:
    return (
        f"Raises the recall of a class, or of several, of the model of `{topology.config}`, and "
        "pushes only on evidence. Start it with the form, or raise the asset event "
        f"`labels/{topology.name}` when labels have arrived; with fewer than "
        f"{topology.min_new_objects} new objects of the class, a run that nobody started by hand "
        "ends early. The gate's **Report** "
        f"link shows the verdict; a push emits the asset `models/{topology.name}`. All files "
        f"are in `{topology.work}`."
    )


for _topology in read_topologies():
    _dag = build_dag(_topology)
    globals()[_dag.dag_id] = _dag
