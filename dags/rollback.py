"""One DAG a compiled config: `classlift_rollback_<name>` serves an older version again."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param
from airflow.sdk.exceptions import AirflowFailException
from operators import ProcessOperator, given
from topologies import Topology, read_topologies

FORM = {
    "reason": {
        "type": "string",
        "minLength": 1,
        "maxLength": 2000,
        "title": "Reason",
        "description": "Why, in one line; recorded for good, with your name.",
    },
    "to": {
        "type": ["integer", "null"],
        "title": "Version",
        "description": "To serve again; empty: the one before the newest.",
    },
}


class RollbackOperator(ProcessOperator):
    """Runs `classlift rollback` with the form's values, in the name of who started the run.

    What is typed into the form can become no option: each value is part of the word that names its
    option.

    Args:
        config: path of the config.

    """

    def __init__(self, *, config: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config

    def words(self, context: Any) -> list[str]:
        """The command line. Unknown keys are refused."""
        run = context["dag_run"]
        form = given(context)
        for name in form:
            if name not in FORM:
                raise AirflowFailException(
                    f"There is no field {name[:80]!r}; there are: {', '.join(FORM)}."
                )
        if not run.triggering_user_name:
            raise AirflowFailException(
                "Airflow does not say who started this run, and a rollback is recorded with a "
                "name: start it from the UI or the REST API, logged in."
            )
        if not form["reason"].isprintable():
            raise AirflowFailException("The reason must be one line of printable characters.")
        words = ["classlift", "rollback", f"--config={self.config}"]
        words += [f"--by={run.triggering_user_name}", f"--reason={form['reason']}"]
        return words if form["to"] is None else [*words, f"--to={int(form['to'])}"]


def build_dag(topology: Topology) -> DAG:
    """The form and its one task."""
    with DAG(
        topology.rollback_dag,
        description="Serve an older version again; who and why are recorded",
        schedule=None,
        catchup=False,
        max_active_runs=1,
        params={"reason": Param(**FORM["reason"]), "to": Param(None, **FORM["to"])},
        # A second rollback undoes the first: nothing is tried again.
        default_args={"owner": topology.owner, "retries": 0},
        tags=["classlift", topology.name],
    ) as dag:
        RollbackOperator(task_id="rollback", config=topology.config)
    return dag


for _topology in read_topologies():
    _dag = build_dag(_topology)
    globals()[_dag.dag_id] = _dag
