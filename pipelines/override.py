"""A push that the gate did not bless, by a named person with a reason; recorded for good.

The DAG starts it where a person approved of what the gate left open:

    python -m pipelines.override --compiled build/compiled/digits --run-id RUN --by A --reason B
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from ml_metadata import metadata_store

from classlift.errors import EXIT_OK, ConfigError, EvaluationError, ModelError
from classlift.faults import exit_code_of
from classlift.gate.verdict import PUSH
from classlift.parent import die_with_parent, raise_on_sigterm
from classlift.progress import configure_node
from classlift.serving.manifest import EXPORT_PROPERTY
from classlift.serving.provenance import Override
from classlift.serving.publish import publish, require_champion, signed
from pipelines.claims import claim
from pipelines.metadata import (
    OVERRIDE,
    connection_to,
    initialise,
    input_ids,
    latest_judged,
    nodes_done,
    open_store,
    output_artifact,
    record_push,
)
from pipelines.nodes import GATE, NODES, PUSHER, SERVING_CHECK, TRAINING
from pipelines.places import Place, serving_of
from pipelines.summary import read_result, summarise
from pipelines.topology import Topology

EXPORT = "Format-Serving"  # of TFX's path_utils, which takes seconds to import
NEEDED = {TRAINING.id, *(node.id for node in NODES if node.blesses)}


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Push what the gate left to a person.")
    parser.add_argument("--compiled", type=Path, required=True)
    for option in ("--run-id", "--by", "--reason"):
        parser.add_argument(option, required=True)
    arguments = parser.parse_args()
    die_with_parent()
    configure_node(PUSHER.id)

    def push() -> int:
        config = Topology.read(arguments.compiled)
        claim(config.name, config.config, config.work, config.serving)
        raise_on_sigterm()
        print(push_anyway(config, arguments.by, arguments.reason, arguments.run_id))
        return EXIT_OK

    return exit_code_of(push)


def push_anyway(
    config: Place,
    by: str,
    reason: str,
    run_id: str | None = None,
) -> Path:
    """Pushes the challenger of a run that was refused or inconclusive.

    Who and why stand in the metadata, in `verdict.json` and in the provenance that the version
    carries. Where an error is raised, nothing is pushed.

    Args:
        config: name and folders of the config.
        by: who pushes.
        reason: why.
        run_id: of the run; the latest that reached its gate by default.

    Returns:
        The folder of the new version.

    Raises:
        ConfigError: name or reason say nothing, or the run needs no override or was pushed already.
        EvaluationError: the run has no whole evaluation, or one of another champion than the one
            served.
        ModelError: its model is gone, or did not pass its serving check.
        UnavailableError: it can't be copied.

    """
    signature = signed(by, reason)
    connection = connection_to(config.work)
    initialise(connection)
    store = open_store(connection, read_only=False)
    run_id = run_id or latest_judged(store, config.name)
    missing = NEEDED - nodes_done(store, config.name, run_id)
    if missing:
        raise EvaluationError(
            f"Run {run_id}: {', '.join(sorted(missing))} did not end well, and what was not judged "
            "and checked is never pushed."
        )
    _require_open(config, store, run_id)
    model, evaluation, check = (
        output_artifact(store, config.name, run_id, node, kind)
        for node, kind in (
            (TRAINING.id, "Model"),
            (GATE.id, "ModelEvaluation"),
            (SERVING_CHECK.id, "InfraBlessing"),
        )
    )
    export = Path(model.uri) / EXPORT
    for node in NODES:
        if node.blesses and model.id not in input_ids(store, config.name, run_id, node.id):
            raise EvaluationError(
                f"Run {run_id}: after {node.id} had looked, another model was trained; run the "
                "pipeline again."
            )
    if not check.custom_properties["blessed"].int_value:
        raise ModelError(f"Run {run_id}: its model did not pass the serving check.")
    verdict, _ = read_result(store, config.name, run_id)
    override = Override(signature.by, signature.reason, verdict.verdict, run_id)
    inputs = {"model": model, "evaluation": evaluation}
    destination = publish(
        serving_of(config),
        export,
        f"the model of run {run_id}",
        note=lambda provenance: replace(provenance, override=override),
        require=lambda: _require_open(config, store, run_id),
        record=lambda folder: record_push(store, OVERRIDE, override, folder, inputs),
        blessed=check.custom_properties[EXPORT_PROPERTY].string_value or None,
    )
    summarise(config, run_id)
    return destination


def _require_open(config: Place, store: metadata_store.MetadataStore, run_id: str) -> None:
    """Raises unless the gate left the run to a person, and its comparison still holds."""
    verdict, _ = read_result(store, config.name, run_id)
    if verdict.verdict == PUSH:
        raise ConfigError(f"Run {run_id}: the gate blessed it; its Pusher needs no override.")
    pushed = verdict.outcome and verdict.outcome.pushed
    if pushed and Path(pushed).exists():
        raise ConfigError(f"Run {run_id}: it was pushed already, as {pushed}.")
    require_champion(config.serving, verdict.champion, config.model, run_id)


if __name__ == "__main__":
    sys.exit(main())
