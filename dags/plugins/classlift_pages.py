"""Shows ClassLift's pages on Airflow's own server, to those who may see the DAG.

The report is the tab *Verdict* of a run and of its tasks, too, and the curves of its training the
tab *Training* of the run.

/classlift/<dag>/runs/<run>/report    the report of a run
/classlift/<dag>/runs/<run>/training  how its training goes
/classlift/<dag>/watch                the series of what is served
"""

from __future__ import annotations

import html
import os
import sys
from pathlib import Path
from typing import ClassVar

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from airflow.plugins_manager import AirflowPlugin
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, HTMLResponse

sys.path.append(str(Path(__file__).resolve().parents[1]))  # which a server does not do for plugins
import variables
from curves import as_html, read_curves
from pages import BASE, headers
from topologies import work_of

# No cookie of Airflow's is theirs.
HEADERS = headers("sandbox; img-src data:")

# A page in a sandbox may not renew itself; no script runs in this one all the same.
LIVE = headers("frame-ancestors 'self'; base-uri 'none'; form-action 'none'")
REFRESH = 5
"""Seconds after which the page of a training that goes on renews itself."""

STYLE = """
:root { color-scheme: light dark; } svg { max-width: 60rem; width: 100%; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 1rem; } h2 { font-size: 1.05rem; }
text { fill: currentcolor; font-size: 12px; }
"""

app = FastAPI(title="ClassLift", docs_url=None, redoc_url=None, openapi_url=None)
MAY_SEE = [Depends(requires_access_dag("GET", DagAccessEntity.RUN))]


@app.exception_handler(404)
def nothing_here(_: Request, fault: HTTPException) -> HTMLResponse:
    """The sentence that says why there is no page; it may stand in a tab."""
    text = f'<p style="font-family: sans-serif; margin: 1em">{html.escape(fault.detail)}</p>'
    return HTMLResponse(text, 404, HEADERS)


def _work(dag_id: str) -> Path:
    """The work folder of the config that a DAG is of."""
    work = work_of(dag_id)
    if work is None:
        raise HTTPException(404, f"No compiled config has a DAG {dag_id}.")
    return work


def _run(dag_id: str, run_id: str) -> Path | None:
    """The folder of a run; None where it has left nothing, or not yet."""
    runs = _work(dag_id) / "runs"
    is_there = runs.is_dir() and run_id in os.listdir(runs)  # a name, never a path
    return runs / run_id if is_there else None


@app.get("/{dag_id}/runs/{run_id}/report", dependencies=MAY_SEE)
def report(dag_id: str, run_id: str) -> FileResponse:
    """The report of a run."""
    run = _run(dag_id, run_id)
    if run is None:
        raise HTTPException(404, "This run left nothing.")
    return _page(run / "evaluation" / "report.html", "This run has not reached its gate.")


@app.get("/{dag_id}/runs/{run_id}/training", dependencies=MAY_SEE)
def training(dag_id: str, run_id: str) -> HTMLResponse:
    """Losses and recalls of a run's training; renews itself until that has ended."""
    run = _run(dag_id, run_id)
    path = run and run / "training" / "curves.json"
    goes_on = not (run and (run / "evaluation" / "verdict.json").is_file())
    if path and path.is_file():
        curves = read_curves(path)
        body, goes_on = as_html(curves), goes_on and curves.chosen is None
    elif goes_on:
        body = "<p>Training has not begun.</p>"
    else:
        body = (
            "<p>This run trained nothing: its model is that of an earlier run which asked for the "
            "same, or a threshold alone was moved.</p>"
        )
    refresh = f'<meta http-equiv="refresh" content="{REFRESH}">' if goes_on else ""
    note = f"<p>This page renews itself every {REFRESH} seconds.</p>" if goes_on else ""
    document = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>ClassLift: training</title>'
        f"{refresh}<style>{STYLE}</style><body>{body}{_tensorboard()}{note}</body></html>"
    )
    return HTMLResponse(document, headers=LIVE)


def _tensorboard() -> str:
    """The link to TensorBoard, where it runs, as HTML."""
    address = os.environ.get(variables.TENSORBOARD, "")
    if not address.startswith(("http://", "https://")):
        return ""
    return (
        f'<p><a href="{html.escape(address)}" rel="noreferrer">TensorBoard</a> shows pictures of '
        "what it finds, too, and trainings side by side.</p>"
    )


@app.get("/{dag_id}/watch", dependencies=MAY_SEE)
def watch(dag_id: str) -> FileResponse:
    """How the served model did on freshly labelled data."""
    return _page(_work(dag_id) / "watch" / "watch.html", "Nothing has been scored yet.")


def _page(path: Path, otherwise: str) -> FileResponse:
    if not path.is_file():
        raise HTTPException(404, otherwise)
    return FileResponse(path, headers=HEADERS, media_type="text/html; charset=utf-8")


class ClassLiftPages(AirflowPlugin):
    """Registers the pages."""

    name = "classlift_pages"
    fastapi_apps: ClassVar = [{"app": app, "url_prefix": "/classlift", "name": "ClassLift"}]
    external_views: ClassVar = [
        {
            "name": "Verdict",
            "href": f"{BASE}/classlift/{{DAG_ID}}/runs/{{RUN_ID}}/report",
            "destination": destination,
            "url_route": f"verdict-of-{destination}",
        }
        for destination in ("dag_run", "task_instance")
    ]
    external_views += [
        {
            "name": "Training",
            "href": f"{BASE}/classlift/{{DAG_ID}}/runs/{{RUN_ID}}/training",
            "destination": "dag_run",
            "url_route": "training-of-dag_run",
        }
    ]
