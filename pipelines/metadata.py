"""What ClassLift asks of ML Metadata beyond what TFX does by itself."""

from collections.abc import Iterable
from pathlib import Path

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb

DONE = (pb.Execution.COMPLETE, pb.Execution.CACHED)


def initialise(database: Path) -> None:
    """Creates the tables once: two first connections at the same time can fail."""
    database.parent.mkdir(parents=True, exist_ok=True)
    open_store(database, read_only=False)


def open_store(database: Path, read_only: bool = True) -> metadata_store.MetadataStore:
    """Opens an SQLite metadata store."""
    connection = pb.ConnectionConfig()
    connection.sqlite.filename_uri = str(database)
    mode = pb.SqliteMetadataSourceConfig
    connection.sqlite.connection_mode = mode.READONLY if read_only else mode.READWRITE_OPENCREATE
    return metadata_store.MetadataStore(connection)


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
    wanted = [
        execution.id
        for execution in _executions(store, run_id)
        if execution.last_known_state in DONE
        and any(
            context.type == "node" and context.name == f"{pipeline}.{node}"
            for context in store.get_contexts_by_execution(execution.id)
        )
    ]
    return artifacts_of(store, wanted[-1:])


def artifacts_of(
    store: metadata_store.MetadataStore, execution_ids: Iterable[int]
) -> list[pb.Artifact]:
    """The output artifacts of executions."""
    events = store.get_events_by_execution_ids(list(execution_ids))
    return store.get_artifacts_by_id(
        [event.artifact_id for event in events if event.type == pb.Event.OUTPUT]
    )


def _executions(store: metadata_store.MetadataStore, run_id: str) -> list[pb.Execution]:
    context = store.get_context_by_type_and_name("pipeline_run", run_id)
    found = store.get_executions_by_context(context.id) if context else []
    return sorted(found, key=lambda execution: execution.id)
