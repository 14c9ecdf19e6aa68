"""Notes on each run what became of it, for Airflow's list of runs: pushed, refused, or nothing.

A push, a refusal and a run that did nothing all end in state success. What is noted is taken from
Airflow's own database: a scheduler need not see the files of runs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

sys.path.append(str(Path(__file__).resolve().parents[1]))  # which a server does not do for plugins
from outcomes import APPROVAL, GATE, PUSHER, REJECTED, outcome, with_own_words


class Noting:
    """Hears of the ends of runs."""

    @hookimpl
    def on_dag_run_success(self, dag_run: Any) -> None:
        """Notes the outcome."""
        _note(dag_run)

    @hookimpl
    def on_dag_run_failed(self, dag_run: Any) -> None:
        """Notes the verdict, where the run had one."""
        _note(dag_run)


def _note(dag_run: Any) -> None:
    """Puts the outcome above the run's own note; the scheduler, who calls, commits it."""
    if not dag_run.dag_id.startswith("classlift_retrain_"):
        return
    from sqlalchemy.orm import object_session  # of the scheduler alone

    session = object_session(dag_run)
    if session is None:  # a run of `airflow dags test`, which stands by itself
        return
    tasks = {task.operator: task for task in dag_run.get_task_instances(session=session)}
    answers = {
        name: tasks[name].xcom_pull(task_ids=tasks[name].task_id, session=session)
        for name in (GATE, PUSHER, APPROVAL)
        if name in tasks
    }
    if APPROVAL in tasks and not answers[APPROVAL]:
        asked = tasks[APPROVAL]
        answers[APPROVAL] = asked.xcom_pull(task_ids=asked.task_id, key=REJECTED, session=session)
    line = outcome(answers, {name: task.state for name, task in tasks.items()})
    if line is None:
        return
    before = dag_run.dag_run_note
    user = before.user_id if before else None
    content = with_own_words(line, before.content if before else None, user is not None)
    if before:
        before.content = content
    else:
        dag_run.note = content


class ClassLiftNotes(AirflowPlugin):
    """Registers what listens."""

    name = "classlift_notes"
    listeners: ClassVar = [Noting()]
