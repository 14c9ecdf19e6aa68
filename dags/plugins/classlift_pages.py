"""Shows ClassLift's pages on Airflow's own server, to those who may see the DAG.

The report is the tab *Verdict* of a run and of its tasks, too.

/classlift/<dag>/runs/<run>/report   the report of a run
/classlift/<dag>/watch               the series of what is served
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
from pages import BASE, headers
from topologies import work_of

# No cookie of Airflow's is theirs.
HEADERS = headers("sandbox; img-src data:")

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


@app.get("/{dag_id}/runs/{run_id}/report", dependencies=MAY_SEE)
def report(dag_id: str, run_id: str) -> FileResponse:
    """The report of a run."""
    runs = _work(dag_id) / "runs"
    if not runs.is_dir() or run_id not in os.listdir(runs):  # a name, never a path
        raise HTTPException(404, "This run left nothing.")
    return _page(runs / run_id / "evaluation" / "report.html", "This run has not reached its gate.")


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
