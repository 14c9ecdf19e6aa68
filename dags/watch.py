"""One DAG a config that watches: `classlift_watch_<name>`. What it finds is in `WORK/watch`."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, BaseOperatorLink
from airflow.sdk.exceptions import AirflowFailException
from operators import ProcessOperator, page_url
from topologies import Topology, read_topologies


class SeriesLink(BaseOperatorLink):
    """A button that opens the page of the series."""

    name = "Series"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Its address, on Airflow's own server."""
        return page_url(f"{ti_key.dag_id}/watch")


class ScoreOperator(ProcessOperator):
    """Runs `classlift watch`; returns a retraining for each class that fell below its floor.

    Args:
        config: path of the config.

    """

    operator_extra_links = (SeriesLink(),)

    def __init__(self, *, config: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config

    def words(self, context: Any) -> list[str]:
        """The command line; all of it is ours."""
        if context["dag_run"].conf:
            raise AirflowFailException("This DAG takes no values: start it without a conf.")
        return ["classlift", "watch", f"--config={self.config}", "--json"]

    def execute(self, context: Any) -> list[dict[str, Any]]:
        """Scores what is served, and says which runs follow.

        Args:
            context: of Airflow.

        Returns:
            What `RetrainOperator` takes, an item a class. A run's id says what was found, so that
            the same finding never starts two.

        """
        found = json.loads(super().execute(context))
        return [
            {
                "trigger_run_id": f"watch__{found['version']}_{found['snapshot'][:12]}_"
                # a class may be called anything, a run may not
                + hashlib.sha256(target.encode()).hexdigest()[:8],
                "conf": {"target": target},
            }
            for target in found["fell"]
        ]


class RetrainOperator(TriggerDagRunOperator):
    """Starts a run, once for each id. Nothing is rendered by Jinja: a class may be called `{{`."""

    template_fields = ()


def build_dag(topology: Topology) -> DAG:
    """Scores what is served, then starts the retraining of each class that fell."""
    with DAG(
        topology.watch_dag,
        description="Score what is served on freshly labelled data; retrain a class that fell",
        schedule=topology.watch_cron,
        catchup=False,
        max_active_runs=1,
        default_args={
            "owner": topology.owner,
            "retries": 1,
            "retry_delay": timedelta(seconds=30),
        },
        tags=["classlift", topology.name],
    ) as dag:
        score = ScoreOperator(task_id="score", config=topology.config)
        RetrainOperator.partial(
            task_id="retrain",
            trigger_dag_id=topology.retrain_dag,
            skip_when_already_exists=True,
        ).expand_kwargs(score.output)
    return dag


for _topology in read_topologies():
    if _topology.watches:
        _dag = build_dag(_topology)
        globals()[_dag.dag_id] = _dag
