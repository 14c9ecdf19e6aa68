"""What the runner does for single nodes, before they start and after they ended well.

Each node's row in `pipelines.nodes` names its own. What only one of them needs is imported in it:
a process a node imports what that node needs and no more.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from classlift.errors import EXIT_NOTHING_TO_DO, EXIT_OK, DataError, PipelineError
from classlift.gate.verdict import read_evaluation
from classlift.settings.field import Values
from pipelines.places import EVALUATION, MIRROR, run_folder, serving_of
from pipelines.topology import Topology

if TYPE_CHECKING:
    from ml_metadata.metadata_store import MetadataStore
    from ml_metadata.proto import metadata_store_pb2 as pb

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """A node that is about to start.

    Attributes:
        node: its id.
        values: the run's parameters.
        store: ML Metadata, to read.
        connection: to ML Metadata.

    """

    topology: Topology
    node: str
    run_id: str
    values: Values
    connection: "pb.ConnectionConfig"
    store: "MetadataStore"


@dataclass(frozen=True)
class Ending:
    """How a node ended that ended well.

    Attributes:
        looked: what was found when it started.
        execution: its id in ML Metadata.
        artifacts: what it put out.
        cached: whether the cache answered for it.

    """

    start: Start
    looked: Mapping[str, str]
    execution: int
    artifacts: Sequence["pb.Artifact"]
    cached: bool

    @property
    def evaluation(self) -> Path:
        """The folder of the run that has its verdict and report."""
        return run_folder(self.start.topology.work, self.start.run_id) / EVALUATION


Looks = Callable[[Start], Mapping[str, str]]
Ended = Callable[[Ending], int]


def at_nothing(_: Start) -> Mapping[str, str]:
    """Looks at nothing: all that the cache is keyed by is known when the pipeline is compiled."""
    return {}


def nothing_more(_: Ending) -> int:
    """Does nothing more for a node that ended well."""
    return EXIT_OK


def at_sources(start: Start) -> Mapping[str, str]:
    """Fetches data from object storage; looks whether data changed since the last run."""
    from classlift.data.mirror import Mirror
    from classlift.data.snapshot import fingerprint

    sources = start.topology.data.sources()
    mirror = Mirror(start.topology.work / MIRROR)
    mirror.fetch(path for source in sources for path in source.paths())
    return {"fingerprint": fingerprint(sources)}


def at_champion(start: Start) -> Mapping[str, str]:
    """Looks at what is served, which is the champion.

    A run that asks what an earlier one asked, of the same data, keeps that one's champion: its
    answer comes from the cache, instead of a pushed model being trained against itself.

    Args:
        start: of the node that resolves it.

    Returns:
        The value of `served`.

    """
    from classlift.serving.folder import champion_key
    from pipelines.metadata import champion_of_request

    topology = start.topology
    earlier = champion_of_request(start.store, topology.name, start.node, _request(start))
    return {"served": earlier or champion_key(topology.serving, topology.model)}


def remember_champion(ending: Ending) -> int:
    """Records with the execution what the run asked, and what the champion was then."""
    from pipelines.metadata import record_request

    start = ending.start
    record_request(start.connection, ending.execution, _request(start), ending.looked["served"])
    return EXIT_OK


def _request(start: Start) -> str:
    """A hash of all that a run asks for: its parameters, its snapshot, the code and the model."""
    from pipelines.bindings import asked
    from pipelines.metadata import output_artifacts
    from pipelines.nodes import SNAPSHOT

    topology = start.topology
    artifacts = output_artifacts(start.store, topology.name, start.run_id, SNAPSHOT.id)
    parts = [
        asked(start.values),
        sorted(artifact.id for artifact in artifacts),
        dict(topology.code),
        topology.backend,
        topology.model_hash,
        *map(str, (topology.model, topology.serving)),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def require_no_anomalies(ending: Ending) -> int:
    """Raises DataError, and marks the execution failed, when examples break the schema."""
    from ml_metadata.proto import metadata_store_pb2
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    from pipelines.metadata import open_store

    found = []
    for artifact in ending.artifacts:
        for path in sorted(Path(artifact.uri).glob("Split-*/SchemaDiff.pb")):
            anomalies = anomalies_pb2.Anomalies.FromString(path.read_bytes())
            if anomalies.HasField("dataset_anomaly_info"):
                found.append(f"{path.parent.name}: {anomalies.dataset_anomaly_info.description}")
            for feature, info in sorted(anomalies.anomaly_info.items()):
                found.append(f"{path.parent.name}, {feature}: {info.description}")
    if found:
        store = open_store(ending.start.connection, read_only=False)
        [execution] = store.get_executions_by_id([ending.execution])
        execution.last_known_state = metadata_store_pb2.Execution.FAILED
        store.put_executions([execution])
        raise DataError(f"The examples break the curated schema: {'; '.join(found)}")
    return EXIT_OK


def publish_evaluation(ending: Ending) -> int:
    """Links verdict and report to where the UI and those who approve find them.

    A run from the cache takes no room of its own, and what is linked outlives its other name.

    Args:
        ending: of the gate.

    Returns:
        0.

    Raises:
        EvaluationError: the evaluation is damaged.

    """
    evaluation = next(Path(a.uri) for a in ending.artifacts if a.type == "ModelEvaluation")
    read_evaluation(evaluation)  # never a damaged one
    shutil.rmtree(ending.evaluation, ignore_errors=True)
    shutil.copytree(evaluation, ending.evaluation, copy_function=_link)
    return EXIT_OK


def _link(source: str, destination: str) -> None:
    """Gives a file a second name, or copies it where the file system knows no links."""
    try:
        os.link(source, destination)
    except OSError:
        shutil.copy2(source, destination)


def say_what_was_pushed(ending: Ending) -> int:
    """Tells whether this run pushed, and notes it beside the verdict.

    A Pusher ends COMPLETE whether it pushed or not.

    Args:
        ending: of the Pusher.

    Returns:
        The exit code, 99 when there is nothing new.

    """
    from pipelines.summary import note_result

    code = _pushed(ending)
    start = ending.start
    note_result(start.store, start.topology.name, start.run_id, ending.evaluation)
    return code


def _pushed(ending: Ending) -> int:
    model = ending.artifacts[0].custom_properties
    if not model["pushed"].int_value:
        logger.info("nothing is pushed, for the gate did not bless the challenger")
        return EXIT_NOTHING_TO_DO
    # Imported here, for it imports protobuf, whose implementation a detector's node chooses first.
    from classlift.serving.folder import describe_served, newest_version

    destination = Path(model["pushed_destination"].string_value)
    version = serving_of(ending.start.topology).shown(destination)
    served = newest_version(destination.parent)
    if ending.cached and served is not None and served > int(destination.name):
        logger.info(
            f"its model was pushed earlier, as version {destination.name}, and nothing is pushed "
            f"twice; served now is {describe_served(destination.parent)}"
        )
        return EXIT_NOTHING_TO_DO
    if not destination.is_dir():
        raise PipelineError(
            f"{version} was pushed by an earlier run of this very data and recipe, and is "
            "gone; put it back, or change the data or the recipe to train anew."
        )
    if ending.cached:
        logger.info(f"{version} was pushed before, and is served; nothing is pushed twice")
    else:
        logger.info(f"pushed {version}")
    return EXIT_OK
