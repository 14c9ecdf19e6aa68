"""Runs a compiled pipeline on this machine without Airflow: the nodes one after the other."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from classlift.environment import PARAMETERS_VARIABLE
from classlift.errors import EXIT_NOTHING_TO_DO, EXIT_OK
from classlift.progress import MARK
from pipelines.places import run_folder
from pipelines.run_node import require_gpu, run_values
from pipelines.running import running
from pipelines.topology import Topology

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parent.parent


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
    for node in order:
        if upstream[node] & skipped:
            skipped.add(node)
            logger.info(f"{topology.place_of(node)} {node}: skipped")
            continue
        code = _run_node(compiled, node, run_id, parameters, logs / f"{node}.log", verbose)
        if code == EXIT_NOTHING_TO_DO:
            skipped.add(node)
        elif code != EXIT_OK:
            logger.error(f"{node}: exit code {code}; its whole output: {logs / f'{node}.log'}")
            return code
    return EXIT_OK


def _run_node(
    compiled: Path,
    node: str,
    run_id: str,
    parameters: Mapping[str, Any],
    log: Path,
    verbose: bool,
) -> int:
    command = [sys.executable, "-m", "pipelines.run_node", "--compiled", str(compiled)]
    environment = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        PARAMETERS_VARIABLE: json.dumps(dict(parameters)),
    }
    with (
        log.open("w") as file,
        subprocess.Popen(
            [*command, "--node", node, "--run-id", run_id],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=environment,
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            if MARK in line:
                logger.info(line.split(MARK, 1)[1].rstrip())
            elif verbose:
                logger.info(line.rstrip())
    return process.returncode
