"""A DAG a config that cleans by the clock: `classlift_clean_<name>` keeps what `retention` says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG
from operators import ProcessOperator
from topologies import Topology, read_topologies


class CleanOperator(ProcessOperator):
    """Runs `classlift clean --yes`; its log says what went and what stayed.

    Args:
        config: path of the config.

    """

    def __init__(self, *, config: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config

    def words(self, context: Any) -> list[str]:
        """The command line."""
        return ["classlift", "clean", f"--config={self.config}", "--yes"]


def build_dag(topology: Topology) -> DAG:
    """Its one task, which waits for the end of a run that is going on by being tried again."""
    with DAG(
        topology.clean_dag,
        description="Remove what old runs left, as `retention` in the config says",
        schedule=topology.clean_cron,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        default_args={
            "owner": topology.owner,
            "retries": 8,
            "retry_delay": timedelta(minutes=30),
        },
        tags=["classlift", topology.name],
    ) as dag:
        CleanOperator(task_id="clean", config=topology.config)
    return dag


for _topology in read_topologies():
    if _topology.clean_cron is not None:
        _dag = build_dag(_topology)
        globals()[_dag.dag_id] = _dag
