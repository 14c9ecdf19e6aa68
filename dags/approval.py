"""The task between the gate and the push: it passes, skips, or asks a person in Airflow's UI."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowSkipException
from operators import APPROVAL, given, report_url
from verdicts import PUSH, REFUSE, Verdict, read_verdict

PATIENCE = timedelta(days=2)  # a run that waits holds back the next one
FORM = {
    "reason": Param(
        "Approved in Airflow.",
        type="string",
        minLength=1,
        maxLength=2000,
        title="Reason",
        description="One line; it is recorded for good with your name and the pushed version.",
    )
}


class VerdictApproval(ApprovalOperator):
    """Passes where the gate says push, skips the push where it refuses, asks where it left it open.

    With `approve_before_push` it asks where the gate says push too. No answer in time means no.

    work: folder of the config. params: `FORM`, which the operator's base wants from outside.
    """

    template_fields = ()  # nothing of a verdict is rendered by Jinja

    def __init__(self, *, work: str, **kwargs: Any) -> None:
        super().__init__(
            task_id=APPROVAL,
            subject="Push the new model?",
            defaults=self.REJECT,
            response_timeout=PATIENCE,
            **kwargs,
        )
        self.work = work

    def execute(self, context: Any) -> Any:
        """Decides, or waits for who does."""
        run = context["dag_run"]
        verdict = read_verdict(self.work, run.run_id)
        reasons = " ".join(verdict.reasons)
        if verdict.verdict == REFUSE:
            raise AirflowSkipException(f"The gate refused: {reasons}")
        if verdict.verdict == PUSH and not given(context).get("approve_before_push"):
            self.log.info("The gate says push: %s", reasons)
            return None
        if run.triggering_user_name == "dag_test":
            raise AirflowSkipException(
                f"{verdict.verdict}: {reasons} Nobody can be asked in a run from the command "
                "line; `classlift push` pushes it."
            )
        self.subject = f"Push the new model for class {verdict.target}? {verdict.verdict}"
        self.body = body(verdict, report_url(run.dag_id, run.run_id))
        return super().execute(context)


def body(verdict: Verdict, report: str) -> str:
    """What a person sees who is asked, in Markdown."""
    lines = [f"[The whole report]({report})", ""]
    lines += [f"- {_plain(reason)}" for reason in verdict.reasons]
    lines += ["", "| class | objects | before | after | lower bound | status |", "|---" * 6 + "|"]
    for row in verdict.classes:
        known = (row.champion_recall, row.challenger_recall, row.lower_bound)
        figures = ["–" if figure is None else f"{figure:.3f}" for figure in known]
        cells = [_plain(row.label), str(row.objects), *figures, row.status]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Text that Markdown takes as it is: names of classes come from data."""
    return "".join(f"\\{c}" if c in r"\`*_{}[]()<>#+!|~" else c for c in text.replace("\n", " "))
