"""The page *Models* in Airflow's navigation: what each config serves, and the way back.

/classlift-models/            versions of the configs whose DAG the reader may see
/classlift-models/<dag>/runs  two runs of a config side by side
/classlift-models/<dag>/back  starts the DAG that rolls back, for those who may start it
"""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar
from urllib.parse import parse_qs

from airflow.api.common.trigger_dag import trigger_dag
from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.exceptions import AirflowException, ParamValidationError
from airflow.plugins_manager import AirflowPlugin
from airflow.utils.types import DagRunTriggeredByType
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

sys.path.append(str(Path(__file__).resolve().parents[1]))  # which a server does not do for plugins
from history import Judged, line, read_runs, read_watches
from pages import BASE, headers
from topologies import Served, read_served
from versions import Version, read_versions

# Its forms need the reader's cookie, so it is not in a sandbox; no script runs all the same.
HEADERS = headers("form-action 'self'; frame-ancestors 'self'; base-uri 'none'")
PATH = "/classlift-models"

FEW = 12
"""Classes whose line is shown at once, those that changed first; the others are folded."""

OF_TARGET = ("lifted", "not lifted")
"""What the gate says of a class that was to be raised, and of no other."""

LONGEST_BODY = 20_000
"""Bytes of a form that is sent."""

STYLE = """
:root { color-scheme: light dark; } body { font: 15px/1.5 system-ui, sans-serif; margin: 1.5rem; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; }
th, td { text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0;
  border-bottom: 1px solid #8886; overflow-wrap: break-word; } tr.served td { font-weight: 600; }
select { font: inherit; max-width: 100%; } figure { margin: 0; } figcaption { font-size: .85rem; }
.lines { display: flex; flex-wrap: wrap; gap: .8rem 1.2rem; } .lines svg { background: #8881; }
input { font: inherit; width: 14rem; max-width: 100%; } button { font: inherit; }
"""

app = FastAPI(title="ClassLift models", docs_url=None, redoc_url=None, openapi_url=None)


@app.get("/")
def models(user: GetUserDep) -> HTMLResponse:
    """The versions of each config."""
    seen = get_auth_manager().get_authorized_dag_ids(user=user)
    parts = [_config(served) for served in read_served() if served.retrain_dag in seen]
    return _page("".join(parts) or "<p>No config is compiled whose DAG you may see.</p>")


MAY_SEE = [Depends(requires_access_dag("GET", DagAccessEntity.RUN))]
MAY_START = [Depends(requires_access_dag("POST", DagAccessEntity.RUN))]


@app.get("/{dag_id}/runs", dependencies=MAY_SEE)
def two_runs(dag_id: str, old: str, new: str) -> HTMLResponse:
    """Two runs of a config side by side."""
    for served in read_served():
        if served.retrain_dag == dag_id:
            runs = {run.name: run for run in read_runs(served.work)}
            if old in runs and new in runs:
                return _page(_side_by_side(runs[old], runs[new]))
            raise HTTPException(404, "One of these runs has not reached its gate, or is gone.")
    raise HTTPException(404, f"No compiled config has a DAG {dag_id}.")


@app.post("/{dag_id}/back", dependencies=MAY_START)
async def back(
    request: Request,
    dag_id: str,
    user: GetUserDep,
    sec_fetch_site: Annotated[str, Header()] = "same-origin",
) -> HTMLResponse:
    """Starts the DAG that rolls back, in the reader's name, which the version will carry."""
    if sec_fetch_site != "same-origin":  # another site's form in the reader's browser
        raise HTTPException(403, "This form is sent from Airflow's own pages alone.")
    if dag_id not in [served.rollback_dag for served in read_served()]:
        raise HTTPException(404, f"No compiled config has a DAG {dag_id}.")
    body = await request.body()
    if len(body) > LONGEST_BODY:
        raise HTTPException(413, "The reason is too long.")
    form = parse_qs(body.decode("utf-8", "replace"))
    number, reason = form.get("to", [""])[-1], form.get("reason", [""])[-1]
    if not re.fullmatch("[0-9]{1,19}", number) or not reason.strip():
        raise HTTPException(400, "A version and a reason are needed.")
    values = {"to": int(number), "reason": reason}
    return _page(await run_in_threadpool(_start, dag_id, values, user.get_name()))


def _start(dag_id: str, values: dict[str, Any], user: str) -> str:
    """Starts a run of the DAG; what became of that, as HTML."""
    try:
        run = trigger_dag(
            dag_id, triggered_by=DagRunTriggeredByType.UI, triggering_user_name=user, conf=values
        )
    except (ParamValidationError, ValueError, AirflowException) as error:
        raise HTTPException(400, str(error).partition("\n")[0]) from None
    name = html.escape(run.run_id if run else "")
    return (
        f"<p><b>Version {values['to']} is about to be served again</b>: run {name} of the DAG "
        f"{html.escape(dag_id)} sees to it; where that DAG is paused, it waits until somebody "
        f'unpauses it.</p><p><a href="{BASE}{PATH}/">Back to the versions</a></p>'
    )


def _config(served: Served) -> str:
    """The versions of one config, as HTML."""
    versions = read_versions(served.serving, served.work)
    title = f"<h2>{html.escape(served.name)}</h2>"
    told = _runs(served)
    if not versions:
        return f"{title}<p>Nothing is pushed yet: the pre-trained model is served.</p>{told}"
    heads = ["version", "pushed (UTC)", "target", "its recall on test", "verdict", "by", "go back"]
    head = "".join(f"<th>{name}</th>" for name in heads)
    rows = "".join(_row(served, version, version is versions[0]) for version in versions)
    return f"{title}<table><tr>{head}</tr>{rows}</table>{told}"


def _runs(served: Served) -> str:
    """The recall of each class over runs and watches, and the choice of two runs, as HTML."""
    runs = read_runs(served.work)
    if not runs:
        return ""
    points = sorted([*runs, *read_watches(served.work)], key=lambda point: point.seconds)
    moved = {label for run in runs for label, status in run.status.items() if status != "unchanged"}
    labels = sorted(runs[-1].recalls, key=lambda label: label not in moved)
    labels = _targets_first(labels, runs[-1:])
    shown, folded = labels[:FEW], labels[FEW:]
    parts = [
        "<h3>Recall of each class on test, over runs and watches</h3>",
        "<p>A filled dot: a run whose model was pushed; a ring: another run; a square: what is "
        "served, on freshly labelled images. From 0 below to 1 above, the oldest to the left.</p>",
        _lines(shown, points),
    ]
    if folded:
        parts += [f"<details><summary>{len(folded)} more classes</summary>"]
        parts += [_lines(folded, points), "</details>"]
    if len(runs) > 1:
        parts.append(_choice(served, runs))
    return "".join(parts)


def _lines(labels: list[str], points: list[Judged]) -> str:
    figures = "".join(
        f"<figure>{line(label, points)}<figcaption>{_caption(label, points)}</figcaption></figure>"
        for label in labels
    )
    return f'<div class="lines">{figures}</div>'


def _caption(label: str, points: list[Judged]) -> str:
    """A class with its latest recall."""
    recalls = [point.recalls[label] for point in points if label in point.recalls]
    return html.escape(f"{label}: {recalls[-1]:.3f}" if recalls else label)


def _choice(served: Served, runs: list[Judged]) -> str:
    """Two lists of runs, the newest first; the last two are chosen."""
    lists = []
    for name, chosen in (("old", runs[-2]), ("new", runs[-1])):
        options = "".join(
            f'<option value="{html.escape(run.name)}"{" selected" if run is chosen else ""}>'
            f"{html.escape(f'{run.date}, {run.verdict}: {run.name}')}</option>"
            for run in reversed(runs)
        )
        lists.append(f'<select name="{name}" aria-label="{name} run">{options}</select>')
    action = html.escape(f"{BASE}{PATH}/{served.retrain_dag}/runs")
    return (
        f'<h3>Two runs side by side</h3><form method="get" action="{action}">'
        f"{' '.join(lists)} <button>Show</button></form>"
    )


def _side_by_side(old: Judged, new: Judged) -> str:
    """What two runs found of each class, as HTML."""
    heads = ["class", "recall, first run", "second run", "change", "status, first run"]
    heads.append("second run")
    rows = []
    for label in _targets_first(dict.fromkeys((*new.status, *old.status)), (new, old)):
        before, after = old.recalls.get(label), new.recalls.get(label)
        change = "" if before is None or after is None else f"{after - before:+.3f}"
        cells = [label, _figure(before), _figure(after), change]
        cells += [run.status.get(label, "no such class") for run in (old, new)]
        rows.append("".join(f"<td>{html.escape(cell)}</td>" for cell in cells))
    head = "".join(f"<th>{name}</th>" for name in heads)
    told = "".join(
        f"<p><b>{html.escape(run.name)}</b>, {run.date}: {html.escape(run.sentence)}</p>"
        for run in (old, new)
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    back = f'<p><a href="{BASE}{PATH}/">Back to the versions</a></p>'
    return f"<h2>Two runs side by side</h2>{told}<table><tr>{head}</tr>{body}</table>{back}"


def _targets_first(labels: Iterable[str], runs: Sequence[Judged]) -> list[str]:
    """The labels, those that one of the runs was to raise before the others."""
    return sorted(
        labels, key=lambda label: not any(run.status.get(label) in OF_TARGET for run in runs)
    )


def _figure(recall: float | None) -> str:
    return "" if recall is None else f"{recall:.3f}"


def _row(served: Served, version: Version, is_served: bool) -> str:
    cells = [str(version.number), version.date, version.target, version.recall]
    cells += [version.verdict, version.who]
    row = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
    if is_served:
        return f'<tr class="served">{row}<td>served now</td></tr>'
    action = html.escape(f"{BASE}{PATH}/{served.rollback_dag}/back")
    return (
        f'<tr>{row}<td><form method="post" action="{action}">'
        f'<input type="hidden" name="to" value="{version.number}">'
        '<input name="reason" required maxlength="2000" placeholder="why, in one line" '
        f'aria-label="Reason for version {version.number}"> '
        f"<button>Serve again</button></form></td></tr>"
    )


def _page(body: str) -> HTMLResponse:
    document = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>ClassLift: models</title>'
        f"<style>{STYLE}</style><body><h1>Models</h1>{body}</body></html>"
    )
    return HTMLResponse(document, headers=HEADERS)


class ClassLiftModels(AirflowPlugin):
    """Registers the page."""

    name = "classlift_models"
    fastapi_apps: ClassVar = [{"app": app, "url_prefix": PATH, "name": "ClassLift models"}]
    external_views: ClassVar = [
        {
            "name": "Models",
            "href": f"{BASE}{PATH}/",
            "destination": "nav",
            "nav_top_level": True,
            "url_route": "classlift-models",
        }
    ]
