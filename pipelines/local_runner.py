"""Runs a compiled pipeline on this machine without Airflow: the nodes one after the other."""

import json
import logging
import os
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from classlift import gpus
from classlift.environment import PARAMETERS_VARIABLE
from classlift.errors import EXIT_NOTHING_TO_DO, EXIT_OK
from classlift.progress import MARK
from pipelines import node_record
from pipelines.fork_server import ForkServer
from pipelines.nodes import ROWS
from pipelines.places import run_folder
from pipelines.run_values import require_gpu, run_values
from pipelines.running import running
from pipelines.topology import Topology

logger = logging.getLogger(__name__)


def run_pipeline(
    compiled: Path,
    run_id: str,
    parameters: Mapping[str, Any],
    verbose: bool = False,
) -> int:
    """Runs all nodes, each in its own process; stops at the first that fails.

    What depends on a skipped node is skipped too. The whole output of each node is kept in the
    run's folder.

    Args:
        compiled: folder of the compiled config.
        run_id: of the run.
        parameters: that the run sets.
        verbose: whether the nodes' whole output is shown.

    Returns:
        The exit code of the node that failed, or 0.

    Raises:
        ConfigError: a parameter is wrong, a GPU is asked for and missing; or as `running`.

    """
    topology = Topology.read(compiled)
    values = run_values(topology, json.dumps(dict(parameters)))  # refused before any work
    require_gpu(values)
    with running(topology, run_id):
        return _run_nodes(compiled, topology, run_id, parameters, verbose)


def _run_nodes(
    compiled: Path,
    topology: Topology,
    run_id: str,
    parameters: Mapping[str, Any],
    verbose: bool,
) -> int:
    upstream = {node.id: set(node.upstream) for node in topology.nodes}
    order = TopologicalSorter(upstream).static_order()
    logs = run_folder(topology.work, run_id)
    logs.mkdir(exist_ok=True)
    skipped: set[str] = set()
    used: set[str] = set()
    # CUDA can't be used in a copy of a process that has begun to, as TensorFlow may on import.
    not_shared = {"tensorflow"} if gpus.count() else set()
    environment = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        PARAMETERS_VARIABLE: json.dumps(dict(parameters)),
    }
    with ForkServer(compiled, run_id, environment) as server:
        for node in order:
            if upstream[node] & skipped:
                skipped.add(node)
                logger.info(f"{topology.place_of(node)} {node}: skipped")
                continue
            heavy = ROWS[node].heavy_imports
            log = logs / f"{node}.log"
            code = _run_node(server, node, sorted((heavy & used) - not_shared), log, verbose)
            if code == EXIT_NOTHING_TO_DO:
                skipped.add(node)
            elif code != EXIT_OK:
                logger.error(f"{node}: exit code {code}; its whole output: {log}")
                return code
            elif node_record.read(logs, node).outcome == node_record.DONE:
                used |= heavy
    return EXIT_OK


def _run_node(
    server: ForkServer, node: str, libraries: Iterable[str], log: Path, verbose: bool
) -> int:
    with log.open("w") as file, server.node(node, libraries) as output:
        for line in output:
            file.write(line)
            if MARK in line:
                logger.info(line.split(MARK, 1)[1].rstrip())
            elif verbose:
                logger.info(line.rstrip())
    return server.exit_code()
