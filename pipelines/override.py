"""A push that the gate did not bless, by a named person with a reason; recorded for good."""

import shutil
from pathlib import Path
from typing import Any

from ml_metadata import metadata_store

from components.bundle import Bundle
from components.dataset.writers import new_folder
from components.errors import ConfigError, EvaluationError, ModelError
from components.recall_gate.verdict import PUSH
from components.serving_folder import champion_name, next_version, served_versions
from pipelines.config import Config
from pipelines.metadata import (
    OVERRIDE,
    connection_to,
    initialise,
    input_ids,
    nodes_done,
    open_store,
    output_artifact,
    record_push,
    run_ids,
)
from pipelines.summary import read_result, summarise

LONGEST = 2000  # characters of a reason
EXPORT = "Format-Serving"  # of TFX's path_utils, which takes seconds to import
NEEDED = {"Trainer", "RecallGate", "ServingCheck"}


def push_anyway(config: Config, by: str, reason: str, run_id: str | None = None) -> Path:
    """Pushes the challenger of a run that was refused or inconclusive; returns the new version.

    run_id: the latest run that reached its gate by default. Who and why stand in the metadata, in
    `verdict.json` and in the provenance that the version carries.

    Raises ConfigError for a name or reason that says nothing, and for a run that needs no override
    or was pushed already; EvaluationError when the run has no whole evaluation, or one of another
    champion than the one served; ModelError when its model is gone or did not pass its serving
    check. Nothing is pushed then.
    """
    record = signed(by, reason)
    connection = connection_to(config.work)
    initialise(connection)
    store = open_store(connection, read_only=False)
    run_id = run_id or _latest(store, config.name)
    missing = NEEDED - nodes_done(store, config.name, run_id)
    if missing:
        raise EvaluationError(
            f"Run {run_id}: {', '.join(sorted(missing))} did not end well, and what was not judged "
            "and checked is never pushed."
        )
    verdict, _ = read_result(store, config.name, run_id)
    _require_open(config, run_id, verdict)
    model, evaluation, check = (
        output_artifact(store, config.name, run_id, node, kind)
        for node, kind in (
            ("Trainer", "Model"),
            ("RecallGate", "ModelEvaluation"),
            ("ServingCheck", "InfraBlessing"),
        )
    )
    export = Path(model.uri) / EXPORT
    for node in ("RecallGate", "ServingCheck"):
        if model.id not in input_ids(store, config.name, run_id, node):
            raise EvaluationError(
                f"Run {run_id}: after {node} had looked, another model was trained; run the "
                "pipeline again."
            )
    if not check.custom_properties["blessed"].int_value:
        raise ModelError(f"Run {run_id}: its model did not pass the serving check.")
    if not (export / "saved_model.pb").exists():
        raise ModelError(
            f"{export}: the model of run {run_id} is gone; put it back, or change data or recipe "
            "and run again."
        )

    record |= {"verdict": verdict["verdict"], "run": run_id}
    # What raises in here leaves nothing served.
    with next_version(config.serving) as destination, new_folder(destination) as draft:
        shutil.copytree(export, draft, dirs_exist_ok=True)
        bundle = Bundle(draft)
        bundle.write_provenance({**bundle.provenance(), "override": record})
        inputs = {"model": model, "evaluation": evaluation}
        record_push(store, OVERRIDE, record, destination, inputs)
    summarise(config.work, config.name, run_id)
    return destination


def signed(by: str, reason: str) -> dict[str, str]:
    """`by` and `reason` as they are recorded. Raises ConfigError when one says nothing."""
    return {"by": _words("--by", by), "reason": _words("--reason", reason)}


def _words(option: str, text: str) -> str:
    text = text.strip()
    if not text or len(text) > LONGEST or not text.isprintable():
        raise ConfigError(
            f"{option} must be one line of at most {LONGEST} characters that says something: who "
            "changes by hand what is served, and why, is recorded."
        )
    return text


def _latest(store: metadata_store.MetadataStore, pipeline: str) -> str:
    for run_id in run_ids(store):
        if "RecallGate" in nodes_done(store, pipeline, run_id):
            return run_id
    raise EvaluationError(f"No run of {pipeline} has reached its gate yet.")


def _require_open(config: Config, run_id: str, verdict: dict[str, Any]) -> None:
    """Raises unless the gate left the run to a person, and its comparison still holds."""
    if verdict["verdict"] == PUSH:
        raise ConfigError(f"Run {run_id}: the gate blessed it; its Pusher needs no override.")
    if verdict["pushed"] and Path(verdict["pushed"]).exists():
        raise ConfigError(f"Run {run_id}: it was pushed already, as {verdict['pushed']}.")
    served = champion_name(served_versions(config.serving), config.model)
    if served != verdict["champion"]:
        raise EvaluationError(
            f"Run {run_id}: its challenger was compared with {verdict['champion']}, and now "
            f"{served} is served; change data or recipe and run again, to compare with that."
        )
