"""The task between the gate and the push: it passes, skips, or asks a person in Airflow's UI."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, ParamsDict
from airflow.sdk.exceptions import AirflowSkipException
from operators import APPROVAL, given, report_url
from outcomes import REJECTED
from verdicts import PUSH, REFUSE, UNCHANGED, Verdict, read_verdict

REASONS, ROWS = 6, 6
"""How many reasons and classes the question shows; the report has all."""

PATIENCE = timedelta(days=2)  # a run that waits holds back the next one
FORM = {
    "reason": Param(
        None,  # which is no text: Airflow's page asks for one
        type="string",
        minLength=1,
        maxLength=2000,
        title="Reason",
        description="Why, in one line. It must be given, and is recorded for good with "
        "your name and the pushed version.",
    )
}


class VerdictApproval(ApprovalOperator):
    """Passes where the gate says push, skips the push where it refuses, asks where it left it open.

    With `approve_before_push` it asks where the gate says push too. No answer in time means no; who
    approves without a reason is asked again.

    Args:
        work: folder of the config.

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
        if verdict.verdict == REFUSE:
            raise AirflowSkipException(verdict.sentence)
        if verdict.verdict == PUSH and not given(context).get("approve_before_push"):
            self.log.info("%s", verdict.sentence)
            return None
        if run.triggering_user_name == "dag_test":
            raise AirflowSkipException(
                f"{verdict.sentence} Nobody can be asked in a run from the command line; "
                "`classlift push` pushes it."
            )
        self.params = ParamsDict(FORM)  # not sooner: what a task starts with must be valid
        self.subject = f"Push the new model for class {verdict.target}? {verdict.sentence}"
        self.body = body(verdict, report_url(run.dag_id, run.run_id))
        return super().execute(context)

    def execute_complete(self, context: Any, event: Any) -> Any:
        """Takes the answer; asks again where it approves and says nothing of why.

        Airflow's page holds an empty field back; what comes from elsewhere it does not check.

        Args:
            context: of Airflow.
            event: the answer, with `chosen_options` and the fields of the page.

        Returns:
            What Airflow's own operator returns of an answer that is taken.

        """
        reason = (event.get("params_input") or {}).get("reason") or ""
        approved = self.APPROVE in event.get("chosen_options", ())
        if approved and not (reason.strip() and reason.isprintable()):
            self.log.warning(
                "The approval is not taken, for its reason is %s; one line that says why is "
                "needed. The question is asked again.",
                "more than one line" if reason.strip() else "empty",
            )
            self.notifiers = []  # whom it concerns was told
            return self.execute(context)
        if not approved:  # of which Airflow keeps no answer; never as one, for that would push
            kept = {name: event.get(name) for name in ("chosen_options", "responded_by_user")}
            context["ti"].xcom_push(key=REJECTED, value=kept)
        return super().execute_complete(context, event)


def body(verdict: Verdict, report: str) -> str:
    """What a person sees who is asked, in Markdown: short, for the buttons stand below it."""
    lines = [f"[The whole report]({report})", ""]
    lines += [f"- {_plain(reason)}" for reason in verdict.reasons[:REASONS]]
    if len(verdict.reasons) > REASONS:
        lines.append(f"- {len(verdict.reasons) - REASONS} more stand in the report.")
    lines += ["", "| class | objects | before | after | lower bound | status |", "|---" * 6 + "|"]
    changed = [row for row in verdict.classes if row.status != UNCHANGED]
    rows = sorted(changed, key=lambda row: row.label != verdict.target)[:ROWS]
    for row in rows:
        known = (row.champion_recall, row.challenger_recall, row.lower_bound)
        figures = ["–" if figure is None else f"{figure:.3f}" for figure in known]
        cells = [_plain(row.label), str(row.objects), *figures, row.status]
        lines.append(f"| {' | '.join(cells)} |")
    if len(rows) < len(verdict.classes):
        others = len(verdict.classes) - len(rows)
        unchanged = len(verdict.classes) - len(changed)
        lines += ["", f"{others} more classes in the report, {unchanged} of them unchanged."]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Text that Markdown takes as it is: names of classes come from data."""
    return "".join(f"\\{c}" if c in r"\`*_{}[]()<>#+!|~" else c for c in text.replace("\n", " "))
