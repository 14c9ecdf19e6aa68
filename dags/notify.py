"""Who is told how a run ended: by mail, and by a POST to a webhook."""

from __future__ import annotations

import html
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from http.client import HTTPException
from typing import Any

from airflow.sdk import BaseHook, BaseNotifier
from operators import report_url
from verdicts import REFUSE, read_verdict

WEBHOOK = "classlift_webhook"
"""An Airflow connection: its host is the URL, its password, if there is one, a bearer token."""

FAILED, REFUSED, PUSHED, WAITING = "failed", "refused", "pushed", "waiting"
TIMEOUT = 30  # seconds


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nothing: another address would get the token, and an empty GET for the POST."""

    def http_error_302(self, *_: Any) -> None:
        """Leaves the answer as it is, which is then an error."""

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


@dataclass(frozen=True, kw_only=True)
class Message:
    """What is told of the end of a task; what is None is left out.

    Attributes:
        event: one of the above.
        config: name of the config.
        dag: id of the DAG.
        run: id of the run.
        task: id of the task, where one failed.
        target: of a run whose gate has spoken, as all that follows but the reasons.
        verdict: push, refuse or inconclusive.
        sentence: the verdict and what decided it.
        lift: the change of the target's recall.
        lower_bound: of the lift.
        version: that was pushed.
        reasons: in words.
        report: its address.

    """

    event: str
    config: str
    dag: str
    run: str
    task: str | None = None
    target: str | None = None
    verdict: str | None = None
    sentence: str | None = None
    lift: float | None = None
    lower_bound: float | None = None
    version: str | None = None
    reasons: tuple[str, ...]
    report: str | None = None

    @property
    def decides(self) -> str:
        """What there is to say, in one sentence."""
        if self.sentence is None:
            return f"Task {self.task} failed: {' '.join(self.reasons)}"
        return self.sentence

    @property
    def lift_words(self) -> str:
        """How much the target's recall rose, in words; empty where that is not known."""
        if self.lift is None or self.lower_bound is None:
            return ""
        return (
            f"Recall of class {self.target}: {self.lift:+.3f}, lower bound {self.lower_bound:+.3f}."
        )

    @property
    def has_link(self) -> bool:
        """Whether the report's address is whole: Airflow knows its own once `base_url` is set."""
        return bool(self.report and self.report.startswith(("http://", "https://")))

    @property
    def text(self) -> str:
        """The message as Slack's incoming webhooks show it, in its `mrkdwn`."""
        lines = [f"*ClassLift {_slack(self.config)}: {self.event}*", _slack(self.decides)]
        lines += [_slack(self.lift_words)]
        lines += [f"Served now: version {self.version}."] if self.version else []
        if self.has_link:
            lines.append(f"<{self.report}|The report>")
        else:
            lines.append(f"Run {_slack(self.run)} of the DAG {self.dag}")
        return "\n".join(filter(None, lines))

    def as_json(self) -> str:
        """The document that the webhook gets; Slack and its like show `text`."""
        facts = {name: v for name, v in asdict(self).items() if v is not None}
        return json.dumps({"text": self.text, **facts})

    def as_html(self) -> str:
        """The text of the mail."""
        lines = [f"<li>{html.escape(reason)}</li>" for reason in self.reasons]
        facts = {
            name: str(v)
            for name, v in asdict(replace(self, reasons=(), sentence=None)).items()
            if v not in (None, ())
        }
        rows = [f"<tr><td>{name}</td><td>{html.escape(v)}</td></tr>" for name, v in facts.items()]
        link = f'<p><a href="{html.escape(self.report or "")}">The report</a></p>'
        return (
            f"<p><b>{html.escape(self.decides)}</b></p><p>{html.escape(self.lift_words)}</p>"
            f"{link if self.has_link else ''}"
            f"<ul>{''.join(lines)}</ul><table>{''.join(rows)}</table>"
        )


def _slack(text: str) -> str:
    """Text that Slack takes as it is: names of classes come from data."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class Notifier(BaseNotifier):
    """Tells of one kind of event. What can't be sent is in the task's log, and changes no run.

    Args:
        event: of the above.
        name: of the config.
        work: folder of the config.
        email: addresses, through the connection `smtp_default`.
        webhook: whether to POST to the connection `classlift_webhook`.

    """

    def __init__(
        self, event: str, name: str, work: str, email: Sequence[str], webhook: bool
    ) -> None:
        super().__init__()
        self.event = event
        self.name = name
        self.work = work
        self.email = email
        self.webhook = webhook

    def notify(self, context: Any) -> None:
        """Sends what there is to say, if there is."""
        message = self.message(context)
        if message is None:
            return
        try:
            if self.webhook:
                self._post(message)
        finally:  # one can't keep the other from being told
            if self.email:
                self._mail(message)

    def message(self, context: Any) -> Message | None:
        """What is sent; None when the task ended with another event than this notifier's."""
        dag_id, run_id = context["dag"].dag_id, context["run_id"]
        task = context["ti"].task_id
        if self.event == FAILED:
            why = (str(context.get("exception") or ""),)
            return Message(
                event=self.event, config=self.name, dag=dag_id, run=run_id, task=task, reasons=why
            )
        verdict = read_verdict(self.work, run_id)
        if self.event == REFUSED and verdict.verdict != REFUSE:
            return None
        return Message(
            event=self.event,
            config=self.name,
            dag=dag_id,
            run=run_id,
            target=verdict.target,
            verdict=verdict.verdict,
            sentence=verdict.sentence,
            lift=verdict.lift,
            lower_bound=verdict.lower_bound,
            version=verdict.pushed,
            reasons=verdict.reasons,
            report=report_url(dag_id, run_id),
        )

    def _post(self, message: Message) -> None:
        """Posts to the webhook's own address. A log never holds it, for it may be a secret."""
        connection = BaseHook.get_connection(WEBHOOK)
        url = connection.host or ""
        if not url.startswith(("http://", "https://")):
            self._not_told("its host must be an address that begins with http:// or https://")
            return
        try:
            request = urllib.request.Request(url, message.as_json().encode(), method="POST")  # noqa: S310
            request.add_header("Content-Type", "application/json")
            if connection.password:
                request.add_header("Authorization", f"Bearer {connection.password}")
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT):
                self.log.info("told the webhook: %s", self.event)
        except urllib.error.HTTPError as error:
            with error:
                self._not_told(_refusal(error))
        except urllib.error.URLError as error:
            self._not_told(f"it can't be reached ({error.reason})")
        except TimeoutError:
            self._not_told(f"it did not answer in {TIMEOUT} s")
        except (OSError, HTTPException, ValueError) as error:
            self._not_told(f"its address or its answer is broken ({type(error).__name__})")

    def _not_told(self, reason: str) -> None:
        self.log.warning(
            "The webhook was not told of %s: %s. See the connection %s.",
            self.event,
            reason,
            WEBHOOK,
        )

    def _mail(self, message: Message) -> None:
        from airflow.providers.smtp.hooks.smtp import SmtpHook  # seconds, of the few that mail

        with SmtpHook() as server:
            server.send_email_smtp(
                to=list(self.email),
                subject=f"ClassLift {self.name}: {self.event}",
                html_content=message.as_html(),
            )
        self.log.info("mailed: %s", self.event)


def _refusal(error: urllib.error.HTTPError) -> str:
    """What the webhook answered, in words, where that was no success."""
    place = error.headers.get("Location")
    if not place:
        return f"it answered with status {error.code}"
    try:
        host = urllib.parse.urlsplit(place).hostname
    except ValueError:
        host = "no address at all"
    return (
        f"it answered with status {error.code}, a redirect to "
        f"{host or 'another path of its host'!r}; none is followed, for the token would go there: "
        "name the final address"
    )
