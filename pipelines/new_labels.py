"""Is there enough new to train on? Asked by the DAG before a run that nobody started by hand.

    python -m pipelines.new_labels --compiled build/compiled/digits --run-id RUN

Counts the training objects of the target classes that the run's snapshot has and that of the last
run which reached its gate had not. Exit codes are those of a node: 99 when there are too few.
"""

import argparse
import logging
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc
from ml_metadata.metadata_store import MetadataStore

from classlift.data.snapshot import Snapshot
from classlift.environment import PARAMETERS_VARIABLE
from classlift.errors import EXIT_NOTHING_TO_DO, EXIT_OK, ClassLiftError
from classlift.parent import die_with_parent
from classlift.progress import configure_node
from classlift.settings.targets import Target, classes_in_words, targets_of
from pipelines.metadata import connection_to, nodes_done, open_existing, output_artifact, run_ids
from pipelines.nodes import GATE, SNAPSHOT
from pipelines.run_values import run_values
from pipelines.topology import Topology

logger = logging.getLogger(__name__)

TASK = "NewLabels"
"""What this is called in Airflow, where it is a task and no node of the pipeline."""

_OBJECT = ["sha256", "xmin", "ymin", "xmax", "ymax"]


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Ask whether there are enough new objects.")
    parser.add_argument("--compiled", type=Path, required=True)
    parser.add_argument("--run-id", required=True)
    arguments = parser.parse_args()
    die_with_parent()
    configure_node(TASK)
    try:
        topology = Topology.read(arguments.compiled)
        values = run_values(topology, os.environ.get(PARAMETERS_VARIABLE, ""))
        targets = targets_of(cast(Target, values["target"]))
        store = open_existing(connection_to(topology.work))
        return _judge(store, topology, arguments.run_id, targets)
    except ClassLiftError as error:
        logger.error(f"stopped: {error}")
        return error.exit_code


def _judge(store: MetadataStore, topology: Topology, run_id: str, targets: Sequence[str]) -> int:
    name, wanted = topology.name, topology.airflow.min_new_objects
    now = _snapshot(store, name, run_id)
    last = next(
        (run for run in run_ids(store) if run != run_id and _judged(store, name, run)), None
    )
    if last is None:
        logger.info("no run has reached the gate yet, so all labels are new")
        return EXIT_OK
    count = new_objects(now, _snapshot(store, name, last), targets)
    has = "has" if len(targets) == 1 else "have"
    found = f"{classes_in_words(targets)} {has} {count} new training objects since run {last}"
    if count < wanted:
        logger.info(f"{found}, fewer than {wanted} (min_new_objects): nothing is trained")
        return EXIT_NOTHING_TO_DO
    logger.info(found)
    return EXIT_OK


def _judged(store: MetadataStore, pipeline: str, run_id: str) -> bool:
    return GATE.id in nodes_done(store, pipeline, run_id)


def _snapshot(store: MetadataStore, pipeline: str, run_id: str) -> Snapshot:
    artifact = output_artifact(store, pipeline, run_id, SNAPSHOT.id, "ClassLiftSnapshot")
    return Snapshot.read(Path(artifact.uri))


def new_objects(now: Snapshot, before: Snapshot, targets: Collection[str]) -> int:
    """How many training boxes of the target classes came since an earlier snapshot.

    A box is known again by the bytes of its image and its corners.

    Args:
        now: today's snapshot.
        before: the earlier one.
        targets: the classes to raise.

    Returns:
        The number of boxes.

    """
    objects = [_objects(snapshot, targets) for snapshot in (now, before)]
    return int(objects[0].join(objects[1], _OBJECT, join_type="left anti").num_rows)


def _objects(snapshot: Snapshot, targets: Collection[str]) -> pa.Table:
    images = snapshot.images.filter(pc.equal(snapshot.images["split"], "train"))
    labels = snapshot.boxes["label"].cast(pa.string())
    boxes = snapshot.boxes.filter(pc.is_in(labels, pa.array(targets, pa.string())))
    rows = pc.index_in(boxes["image_id"], value_set=images["image_id"])
    boxes = boxes.append_column("sha256", images["sha256"].take(rows))
    return boxes.filter(pc.is_valid(rows)).select(_OBJECT)


if __name__ == "__main__":
    sys.exit(main())
