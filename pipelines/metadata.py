"""What ClassLift asks of ML Metadata beyond what TFX does by itself."""

import logging
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb

from classlift.environment import METADATA_VARIABLE
from classlift.errors import ConfigError, EvaluationError, UnavailableError
from classlift.serving.provenance import Override, Signature
from pipelines.nodes import GATE

logger = logging.getLogger(__name__)

ADDRESS = re.compile(
    r"postgresql://(?P<user>[\w.-]+)@(?P<host>[\w.-]+)(:(?P<port>\d+))?/(?P<dbname>[\w.-]+)"
)
DONE = (pb.Execution.COMPLETE, pb.Execution.CACHED)
GOING_ON = (pb.Execution.NEW, pb.Execution.RUNNING)

OVERRIDE, ROLLBACK = "ClassLiftOverride", "ClassLiftRollback"
"""Types of the executions that record what a person had served."""

PUSHED_MODEL = "PushedModel"

REQUEST, CHAMPION = "request", "champion_key"
"""Properties of the execution that resolved the champion: what its run asked, and who it was."""


def connection_to(work: Path) -> pb.ConnectionConfig:
    """Where the metadata of a config are: SQLite in its work folder, or the Postgres database that
    CLASSLIFT_METADATA names, which all configs share.

    There is never a password in it, for it is compiled and recorded: libpq, the client library of
    Postgres, takes the password from PGPASSWORD or ~/.pgpass.

    Args:
        work: folder of the config.

    Returns:
        The connection, which is not opened.

    Raises:
        ConfigError: the address is not of this form.

    """
    connection = pb.ConnectionConfig()
    address = os.environ.get(METADATA_VARIABLE)
    if not address:
        connection.sqlite.filename_uri = str(work / "metadata.db")
        mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        connection.sqlite.connection_mode = mode
        return connection
    parts = ADDRESS.fullmatch(address)
    if parts is None:
        raise ConfigError(
            f"{METADATA_VARIABLE} must be postgresql://USER@HOST:PORT/DATABASE, without a "
            "password: that is taken from PGPASSWORD or ~/.pgpass."
        )
    postgres = pb.PostgreSQLDatabaseConfig(**parts.groupdict("5432"), skip_db_creation=True)
    connection.postgresql.CopyFrom(postgres)
    return connection


def initialise(connection: pb.ConnectionConfig) -> None:
    """Creates the tables once: two first connections at the same time can fail.

    Args:
        connection: to ML Metadata.

    Raises:
        ConfigError: a Postgres database can't be opened.
        UnavailableError: another process writes to SQLite's file all the time.
        EvaluationError: SQLite's file can't be read.

    """
    if connection.HasField("sqlite"):
        Path(connection.sqlite.filename_uri).parent.mkdir(parents=True, exist_ok=True)
    try:
        open_store(connection, read_only=False)
    except UnavailableError as error:
        if connection.HasField("sqlite"):
            raise
        raise ConfigError(str(error)) from error


def begin_anew(connection: pb.ConnectionConfig) -> None:
    """Makes SQLite's file where it is gone, and says what was lost with it.

    The compiled pipeline made it, and whoever runs next can't do without.

    Args:
        connection: to ML Metadata.

    Raises:
        UnavailableError: as `open_store`.
        EvaluationError: as `open_store`.

    """
    if connection.HasField("sqlite") and _is_gone(Path(connection.sqlite.filename_uri)):
        logger.warning(
            f"{connection.sqlite.filename_uri}: there is no ML Metadata, so they are begun anew. "
            "Unless you put the old file back, these are lost: the history of runs and pushes, how "
            "often the test set was used, and what the cache would have answered."
        )
        initialise(connection)


def _is_gone(database: Path) -> bool:
    return not database.exists() or database.stat().st_size == 0


def open_store(
    connection: pb.ConnectionConfig, read_only: bool = True
) -> metadata_store.MetadataStore:
    """Opens a metadata store.

    Args:
        connection: to it.
        read_only: guards SQLite alone.

    Returns:
        The store.

    Raises:
        EvaluationError: SQLite's file can't be read.
        UnavailableError: another process writes to it all the time, or a Postgres database can't be
            opened.

    """
    config = pb.ConnectionConfig()
    config.CopyFrom(connection)
    if read_only and config.HasField("sqlite"):
        config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READONLY
    try:
        return metadata_store.MetadataStore(config)
    except RuntimeError as error:
        if not config.HasField("sqlite"):
            raise UnavailableError(
                f"The database that {METADATA_VARIABLE} names can't be opened: does it exist, is "
                "its server up, is its password in PGPASSWORD or ~/.pgpass?"
            ) from error
        place, reason = config.sqlite.filename_uri, _reason(str(error))
        if "locked" in reason:
            raise UnavailableError(f"{place}: another process writes to it ({reason}).") from None
        raise EvaluationError(
            f"{place}: ML Metadata can't be read ({reason}); put it back, or move it away."
        ) from None


def _reason(said: str) -> str:
    """What SQLite said, without the query that it said it to."""
    return said.removeprefix("Error when executing query: ").partition(" query:")[0]


def open_existing(
    connection: pb.ConnectionConfig, read_only: bool = True
) -> metadata_store.MetadataStore:
    """As `open_store`; raises EvaluationError whatever the reason, also when there is none yet."""
    if connection.HasField("sqlite") and _is_gone(Path(connection.sqlite.filename_uri)):
        raise EvaluationError(
            f"{connection.sqlite.filename_uri}: there is no ML Metadata; run the pipeline first."
        )
    try:
        return open_store(connection, read_only)
    except UnavailableError as error:
        raise EvaluationError(str(error)) from None


def nodes_done(store: metadata_store.MetadataStore, pipeline: str, run_id: str) -> set[str]:
    """Ids of the nodes whose latest execution in this run is complete or came from the cache."""
    latest: dict[str, pb.Execution] = {}
    for execution in _executions(store, run_id):
        for context in store.get_contexts_by_execution(execution.id):
            if context.type == "node":
                latest[context.name] = max(
                    execution, latest.get(context.name, execution), key=lambda e: e.id
                )
    prefix = f"{pipeline}."
    return {
        name.removeprefix(prefix)
        for name, execution in latest.items()
        if execution.last_known_state in DONE
    }


def output_artifacts(
    store: metadata_store.MetadataStore, pipeline: str, run_id: str, node: str
) -> list[pb.Artifact]:
    """What a node put out in a run, also when it came from the cache."""
    return artifacts_of(store, _done(store, pipeline, run_id, node))


def output_artifact(
    store: metadata_store.MetadataStore, pipeline: str, run_id: str, node: str, kind: str
) -> pb.Artifact:
    """What a node put out in a run.

    Args:
        store: ML Metadata.
        pipeline: name of the config.
        run_id: of the run.
        node: id of the node.
        kind: type of the artifact.

    Returns:
        The first artifact of the type.

    Raises:
        EvaluationError: there is none: the run did not come so far.

    """
    for artifact in output_artifacts(store, pipeline, run_id, node):
        if artifact.type == kind:
            return artifact
    raise EvaluationError(f"Run {run_id} has no {kind}: it did not finish its {node}.")


def input_ids(
    store: metadata_store.MetadataStore, pipeline: str, run_id: str, node: str
) -> set[int]:
    """Ids of the artifacts that a node read in a run."""
    events = store.get_events_by_execution_ids(_done(store, pipeline, run_id, node))
    return {event.artifact_id for event in events if event.type == pb.Event.INPUT}


def inputs_of(
    store: metadata_store.MetadataStore, pipeline: str, run_id: str, node: str
) -> dict[str, pb.Artifact]:
    """What a node read in a run, by the names of its inputs; of several artifacts, the last."""
    events = store.get_events_by_execution_ids(_done(store, pipeline, run_id, node))
    names = {e.artifact_id: e.path.steps[0].key for e in events if e.type == pb.Event.INPUT}
    return {names[found.id]: found for found in store.get_artifacts_by_id(sorted(names))}


def latest_judged(store: metadata_store.MetadataStore, pipeline: str) -> str:
    """The latest run that reached its gate. Raises EvaluationError when none has."""
    for run_id in run_ids(store):
        if GATE.id in nodes_done(store, pipeline, run_id):
            return run_id
    raise EvaluationError(f"No run of {pipeline} has reached its gate yet; run the pipeline first.")


def artifacts_of(
    store: metadata_store.MetadataStore, execution_ids: Iterable[int]
) -> list[pb.Artifact]:
    """The output artifacts of executions."""
    events = store.get_events_by_execution_ids(list(execution_ids))
    found: list[pb.Artifact] = store.get_artifacts_by_id(
        [event.artifact_id for event in events if event.type == pb.Event.OUTPUT]
    )
    return found


def run_ids(store: metadata_store.MetadataStore) -> list[str]:
    """The runs, the latest first."""
    runs = store.get_contexts_by_type("pipeline_run")
    return [run.name for run in sorted(runs, key=lambda run: run.id, reverse=True)]


def record_push(
    store: metadata_store.MetadataStore,
    kind: str,
    signed: Signature,
    destination: Path,
    inputs: Mapping[str, pb.Artifact],
) -> None:
    """Records in one transaction that a person had a version served.

    Args:
        store: ML Metadata.
        kind: `OVERRIDE` or `ROLLBACK`.
        signed: an `Override` or a `Rollback`, which become the properties of the execution; its
            `run`, where it has one, is the run that it belongs to.
        destination: folder of the version.
        inputs: what the version was made of, by name.

    """
    record = signed.record()
    execution_type = pb.ExecutionType(name=kind, properties=dict.fromkeys(record, pb.STRING))
    execution = pb.Execution(
        type_id=store.put_execution_type(execution_type),
        last_known_state=pb.Execution.COMPLETE,
        properties={name: pb.Value(string_value=value) for name, value in record.items()},
    )
    # As TFX's Pusher does.
    pushed_type = pb.ArtifactType(name=PUSHED_MODEL, base_type=pb.ArtifactType.MODEL)
    pushed = pb.Artifact(
        type_id=store.put_artifact_type(pushed_type),
        uri=str(destination),
        state=pb.Artifact.LIVE,
        custom_properties={
            "pushed": pb.Value(int_value=1),
            "pushed_destination": pb.Value(string_value=str(destination)),
            "pushed_version": pb.Value(string_value=destination.name),
        },
    )
    events = [(artifact, _event(pb.Event.INPUT, name)) for name, artifact in inputs.items()]
    events.append((pushed, _event(pb.Event.OUTPUT, "pushed_model")))
    runs = []
    if "run" in record:
        runs.append(store.get_context_by_type_and_name("pipeline_run", record["run"]))
    store.put_execution(execution, events, runs)


def pushed_model(store: metadata_store.MetadataStore, version: int) -> pb.Artifact | None:
    """What was recorded when a version was pushed, by the Pusher or a person.

    Args:
        store: ML Metadata.
        version: its number.

    Returns:
        The last record, for a push that was recorded and then failed leaves its number to another;
        None if there is none.

    """
    found = [
        artifact
        for artifact in store.get_artifacts_by_type(PUSHED_MODEL)  # those of refusals too
        if artifact.custom_properties["pushed_version"].string_value == str(version)
    ]
    return max(found, key=lambda artifact: artifact.id, default=None)


def maker_of(store: metadata_store.MetadataStore, artifact: pb.Artifact) -> pb.Execution:
    """The execution that made an artifact; those that found it in the cache came later."""
    events = store.get_events_by_artifact_ids([artifact.id])
    made = min(event.execution_id for event in events if event.type == pb.Event.OUTPUT)
    return store.get_executions_by_id([made])[0]


def parameter_of(
    store: metadata_store.MetadataStore, pipeline: str, run_id: str, node: str, name: str
) -> str:
    """A text parameter that a node of ours had in a run."""
    [execution] = store.get_executions_by_id(_done(store, pipeline, run_id, node))
    return str(execution.custom_properties[name].string_value)


def champion_of_request(
    store: metadata_store.MetadataStore, pipeline: str, node: str, request: str
) -> str | None:
    """What was the champion when a run last asked this.

    Args:
        store: ML Metadata.
        pipeline: name of the config.
        node: id of the node that resolves the champion.
        request: what was asked.

    Returns:
        The `champion_key`, where the cache still has it; None when no run has asked this.

    """
    context = store.get_context_by_type_and_name("node", f"{pipeline}.{node}")
    executions = store.get_executions_by_context(context.id) if context else []
    for execution in sorted(executions, key=lambda execution: execution.id, reverse=True):
        known = execution.custom_properties
        if execution.last_known_state not in DONE or known[REQUEST].string_value != request:
            continue
        if all(made.state == pb.Artifact.LIVE for made in artifacts_of(store, [execution.id])):
            return str(known[CHAMPION].string_value)
    return None


def record_request(
    connection: pb.ConnectionConfig, execution_id: int, request: str, champion: str
) -> None:
    """Records with an execution what its run asked, and what the champion was, unless it is there.

    Nothing that the cache is keyed by changes.
    """
    store = open_store(connection, read_only=False)
    [execution] = store.get_executions_by_id([execution_id])
    if not execution.custom_properties[REQUEST].string_value:
        execution.custom_properties[REQUEST].string_value = request
        execution.custom_properties[CHAMPION].string_value = champion
        store.put_executions([execution])


def run_of(store: metadata_store.MetadataStore, execution: pb.Execution) -> str:
    """The run that an execution belongs to."""
    contexts = store.get_contexts_by_execution(execution.id)
    return next(str(context.name) for context in contexts if context.type == "pipeline_run")


def properties_of(execution: pb.Execution) -> dict[str, str]:
    """What `record_push` recorded."""
    return {name: value.string_value for name, value in execution.properties.items()}


def approval_of(pushed: pb.Artifact) -> Signature | None:
    """Who approved of a push that the gate blessed, and why; None where nobody was asked."""
    by, reason = (
        pushed.custom_properties[name].string_value for name in ("approval_by", "approval_reason")
    )
    return Signature(by, reason) if by else None


def override_of(
    store: metadata_store.MetadataStore, evaluation: pb.Artifact
) -> tuple[Override, str] | None:
    """The last push of an evaluation's model by a person, and the folder it was pushed to."""
    events = store.get_events_by_artifact_ids([evaluation.id])
    readers = store.get_executions_by_id(
        [event.execution_id for event in events if event.type == pb.Event.INPUT]
    )
    overrides = [execution for execution in readers if execution.type == OVERRIDE]
    if not overrides:
        return None
    last = max(overrides, key=lambda execution: execution.id)
    return Override(**properties_of(last)), artifacts_of(store, [last.id])[0].uri


def _done(store: metadata_store.MetadataStore, pipeline: str, run_id: str, node: str) -> list[int]:
    """Id of a node's latest execution in a run that ended well, if there is one."""
    wanted = [
        execution.id
        for execution in _executions(store, run_id)
        if execution.last_known_state in DONE
        and any(
            context.type == "node" and context.name == f"{pipeline}.{node}"
            for context in store.get_contexts_by_execution(execution.id)
        )
    ]
    return wanted[-1:]


def _event(kind: "pb.Event.Type", name: str) -> pb.Event:
    """An event with the path that TFX gives to the only artifact under a name."""
    steps = [pb.Event.Path.Step(key=name), pb.Event.Path.Step(index=0)]
    return pb.Event(type=kind, path=pb.Event.Path(steps=steps))


def _executions(store: metadata_store.MetadataStore, run_id: str) -> list[pb.Execution]:
    context = store.get_context_by_type_and_name("pipeline_run", run_id)
    found = store.get_executions_by_context(context.id) if context else []
    return sorted(found, key=lambda execution: execution.id)


@dataclass(frozen=True)
class RecordedRun:
    """What ML Metadata know of a run of a config.

    Attributes:
        began: when its first node did.
        artifacts: ids of all that its nodes read or put out, also from the cache.
        evaluations: those of its gate.
        pushed: the versions that came of it, by the Pusher or a person.
        is_going_on: whether a node has neither ended nor failed.

    """

    id: str
    began: datetime
    artifacts: frozenset[int]
    evaluations: frozenset[int]
    pushed: frozenset[int]
    reached_gate: bool
    is_going_on: bool


def recorded_runs(store: metadata_store.MetadataStore, pipeline: str) -> list[RecordedRun]:
    """The runs of a config, the latest first; a store may hold those of other configs too."""
    nodes = {
        context.name.removeprefix(f"{pipeline}."): context.id
        for context in store.get_contexts_by_type("node")
        if context.name.startswith(f"{pipeline}.")
    }
    executions = {
        execution.id: (node, execution)
        for node, context in nodes.items()
        for execution in store.get_executions_by_context(context)
    }
    found = []
    runs = store.get_contexts_by_type("pipeline_run")
    for run in sorted(runs, key=lambda run: run.id, reverse=True):
        in_run = store.get_executions_by_context(run.id)
        of_nodes = [executions[e.id] for e in in_run if e.id in executions]
        if not of_nodes:
            continue
        events = store.get_events_by_execution_ids([e.id for e in in_run])  # a push by hand too
        ids = frozenset(event.artifact_id for event in events)
        artifacts = store.get_artifacts_by_id(sorted(ids))
        found.append(
            RecordedRun(
                run.name,
                datetime.fromtimestamp(run.create_time_since_epoch / 1000, UTC),
                ids,
                frozenset(a.id for a in artifacts if a.type == "ModelEvaluation"),
                frozenset(_pushed_versions(artifacts)),
                any(n == GATE.id and e.last_known_state in DONE for n, e in of_nodes),
                any(e.last_known_state in GOING_ON for _, e in of_nodes),
            )
        )
    return found


def _pushed_versions(artifacts: Iterable[pb.Artifact]) -> Iterator[int]:
    for artifact in artifacts:
        version = artifact.custom_properties["pushed_version"].string_value
        if artifact.type == PUSHED_MODEL and version.isdecimal():
            yield int(version)


def mark_deleted(store: metadata_store.MetadataStore, ids: Collection[int]) -> None:
    """Records that the files of artifacts are gone; that they were made stays known."""
    artifacts = store.get_artifacts_by_id(sorted(ids))
    for artifact in artifacts:
        artifact.state = pb.Artifact.DELETED
    store.put_artifacts(artifacts)
