"""A run judged again by other settings of the gate, from what it left: nothing is trained.

The use of the test set that such a verdict is charged with is the gate's own rule of uses
(`classlift.gate.uses`): with the settings of the run it is the run's own answer, and its use. With
others it is one more look, counted and charged as a run with them would be, so that nobody can look
at a test set for nothing. Who asks the same again sees the same, which is not counted again.
"""

import hashlib
import json
from pathlib import Path

from google.protobuf import json_format
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

from classlift import own_folders
from classlift.data.snapshot import Snapshot
from classlift.errors import ConfigError, EvaluationError
from classlift.gate import run as gate
from classlift.gate.evidence import ModelPredictions
from classlift.gate.outcome import copy_report
from classlift.gate.predictions import Origin
from classlift.gate.uses import TestSet
from classlift.gate.verdict import REPORT, Verdict
from classlift.serving.bundle import Bundle
from classlift.settings.field import Values, read
from classlift.settings.gate import GateSettings
from components.recorded_uses import look_again
from pipelines.bindings import TRAINED_FOR
from pipelines.code import code_version
from pipelines.config import Config
from pipelines.metadata import connection_to, inputs_of, latest_judged, open_existing
from pipelines.nodes import GATE as GATE_NODE
from pipelines.override import EXPORT
from pipelines.parameters import GATE, PARAMETERS, check
from pipelines.summary import read_run

GATES_OWN = tuple(
    name for name, row in PARAMETERS.items() if row.group == GATE and name not in TRAINED_FOR
)
"""The settings that the gate alone reads."""


def judge_again(config: Config, run_id: str | None, values: Values, folder: Path) -> Verdict:
    """Judges a finished run by other settings, which is counted; nothing else of it is touched.

    Args:
        config: of the run.
        run_id: the run; None for the latest that reached its gate.
        values: settings of the gate, the others being those of the run; None for a default.
        folder: for `verdict.json` and `report.html`.

    Returns:
        The verdict, with a note on how it came about.

    Raises:
        ConfigError: a value is wrong or none of the gate's alone, or the folder is not ours.
        EvaluationError: the run is not known or has not reached its gate, or what it left is gone.

    """
    check(values, config.parameter_schemas())
    for name in values:
        if name not in GATES_OWN:
            raise ConfigError(
                f"{name} is not the gate's alone: other nodes of a run depend on it, so start a "
                f"run with it. The gate can judge again by: {', '.join(GATES_OWN)}."
            )
    own_folders.require_own(folder, own_folders.JUDGED)
    connection = connection_to(config.work)
    store = open_existing(connection)
    run = run_id or latest_judged(store, config.name)
    judged = read_run(config, run)
    asked = _changed(judged.settings, values)
    found = _inputs(store, config.name, run)
    data = Snapshot.read(found["snapshot"])
    use = judged.test_uses
    if asked != judged.settings:
        recorded = json_format.MessageToJson(connection, indent=None)
        use = look_again(recorded, TestSet.of(data.images), _name(run, asked))
    verdict = gate.run(
        Bundle(found["champion"] / EXPORT),
        Bundle(found["challenger"] / EXPORT),
        ModelPredictions.read(found["champion_predictions"]),
        ModelPredictions.read(found["challenger_predictions"]),
        snapshot=data,
        targets=judged.targets,
        settings=asked,
        origin=Origin(judged.champion, judged.snapshot, code_version("components.recall_gate")),
        use=use,
        diagnosis=found["diagnosis"],
        examples=found["examples"],
        folder=own_folders.make(folder, own_folders.JUDGED),
        notes=[_note(run, judged, asked, use)],
    )
    words = f"nothing; run {run} was only judged again"
    copy_report(folder / REPORT, folder / REPORT, words, is_pushed=False)
    return verdict


def _changed(settings: GateSettings, values: Values) -> GateSettings:
    """The settings of a run with other values; None is the default."""
    changed = {**vars(settings), **values}
    return read(GateSettings, {n: value for n, value in changed.items() if value is not None})


def _inputs(store: MetadataStore, pipeline: str, run: str) -> dict[str, Path]:
    """The folders that a run's gate read.

    Returns:
        The folders by name.

    Raises:
        EvaluationError: one is gone.

    """
    found = inputs_of(store, pipeline, run, GATE_NODE.id)
    for name, artifact in found.items():
        if artifact.state == pb.Artifact.DELETED or not Path(artifact.uri).is_dir():
            raise EvaluationError(
                f"Run {run}: its {name.replace('_', ' ')} ({artifact.uri}) were removed since, so "
                "it can't be judged again; name a newer run, or run the pipeline again."
            )
    return {name: Path(artifact.uri) for name, artifact in found.items()}


def _name(run: str, asked: GateSettings) -> str:
    """What a look is known by: the run, and what the gate asked."""
    text = json.dumps(vars(asked), sort_keys=True)
    return f"look at {run} {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _note(run: str, judged: Verdict, asked: GateSettings, use: int) -> str:
    """How the verdict came about, and what it counts."""
    moved = [
        f"{name} {getattr(asked, name)} instead of {getattr(judged.settings, name)}"
        for name in GATES_OWN
        if getattr(asked, name) != getattr(judged.settings, name)
    ]
    if not moved:
        return (
            f"Judged again from what run {run} left, with its settings, as its use of the test set."
        )
    return (
        f"Judged again from what run {run} left, with {', '.join(moved)}. The bounds are those of "
        f"use {use} of the test set: this look is counted, and the next one is judged more "
        "strictly. Nothing is pushed by it."
    )
