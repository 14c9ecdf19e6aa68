"""Shows ClassLift's pages on Airflow's own server, to those who may see the DAG.

/classlift/<dag>/runs/<run>/report   the report of a run
/classlift/<dag>/watch               the series of what is served
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import ClassVar

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from airflow.plugins_manager import AirflowPlugin
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import FileResponse

ROOT = Path(__file__).resolve().parents[2]
COMPILED = Path(os.environ.get("CLASSLIFT_COMPILED", ROOT / "build" / "compiled"))
# The pages hold names from data: no script runs, nothing is fetched, no cookie is theirs.
HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'; img-src data:; "
    "style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-cache",
}

app = FastAPI(title="ClassLift", docs_url=None, redoc_url=None, openapi_url=None)
MAY_SEE = [Depends(requires_access_dag("GET", DagAccessEntity.RUN))]


def work_of(dag_id: str) -> Path:
    """The work folder of the config that a DAG is of."""
    for path in COMPILED.glob("*/topology.json"):
        topology = json.loads(path.read_text())
        if dag_id in (
            f"classlift_retrain_{topology['name']}",
            f"classlift_watch_{topology['name']}",
        ):
            return Path(topology["work"])
    raise HTTPException(404, f"No compiled config has a DAG {dag_id}.")


@app.get("/{dag_id}/runs/{run_id}/report", dependencies=MAY_SEE)
def report(dag_id: str, run_id: str) -> FileResponse:
    """The report of a run."""
    runs = work_of(dag_id) / "runs"
    if not runs.is_dir() or run_id not in os.listdir(runs):  # a name, never a path
        raise HTTPException(404, "This run left nothing.")
    return _page(runs / run_id / "evaluation" / "report.html", "This run has not reached its gate.")


@app.get("/{dag_id}/watch", dependencies=MAY_SEE)
def watch(dag_id: str) -> FileResponse:
    """How the served model did on freshly labelled data."""
    return _page(work_of(dag_id) / "watch" / "watch.html", "Nothing has been scored yet.")


def _page(path: Path, otherwise: str) -> FileResponse:
    if not path.is_file():
        raise HTTPException(404, otherwise)
    return FileResponse(path, headers=HEADERS, media_type="text/html; charset=utf-8")


class ClassLiftPages(AirflowPlugin):
    """Registers the pages."""

    name = "classlift_pages"
    fastapi_apps: ClassVar = [{"app": app, "url_prefix": "/classlift", "name": "ClassLift"}]
