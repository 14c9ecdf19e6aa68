"""Runs exactly one node of a compiled pipeline in this process.

    python -m pipelines.run_node --compiled build/compiled/digits --node Trainer --run-id RUN

The parameters of the run come as one JSON object in the environment variable CLASSLIFT_PARAMETERS;
they never meet a shell. Exit codes: 0 done or cached; 99 nothing to do; 78 a fault that a retry
can't mend; 1 worth a retry.

This module imports what the node needs and no more (`pipelines.imports`): TensorFlow and Beam only
for the work itself, once the cache has no answer.
"""

import argparse
import logging
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from classlift.environment import PARAMETERS_VARIABLE
from classlift.errors import EXIT_RETRY, ClassLiftError, PipelineError
from classlift.faults import explain
from classlift.parent import EXIT_TERMINATED, Terminated, die_with_parent
from classlift.progress import configure_node, escape_what_is_not_printable
from classlift.text import printable
from pipelines import imports, nodes
from pipelines.places import run_folder
from pipelines.run_values import run_values
from pipelines.running import running
from pipelines.topology import Topology

logger = logging.getLogger(__name__)

STARTED = time.monotonic()


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Run one node of a compiled pipeline.")
    parser.add_argument(
        "--compiled", type=Path, required=True, help="folder of the compiled config"
    )
    parser.add_argument("--node", required=True)
    parser.add_argument("--run-id", required=True)
    arguments = parser.parse_args()
    return run(arguments.compiled, arguments.node, arguments.run_id, STARTED)


def run(compiled: Path, node: str, run_id: str, started: float) -> int:
    """Runs a node in this process, which is for nothing else.

    Args:
        compiled: the folder of the compiled config.
        node: its id.
        run_id: of the run that it belongs to.
        started: when it was asked for, by the monotonic clock.

    Returns:
        The exit code.

    """
    die_with_parent()
    escape_what_is_not_printable()
    configure_node(node)
    with _temporary_folder():
        return _ended(lambda: _start(compiled, node, run_id, started))


@contextmanager
def _temporary_folder() -> Iterator[None]:
    """All temporary files go into one folder that goes away: libraries leave theirs at each run."""
    with tempfile.TemporaryDirectory(prefix="classlift_", ignore_cleanup_errors=True) as folder:
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        yield


def _start(compiled: Path, name: str, run_id: str, started: float) -> int:
    """Runs a node once what it belongs to is known and its own; returns the exit code."""
    topology = Topology.read(compiled)
    folder = run_folder(topology.work, run_id)
    parameters = run_values(topology, os.environ.get(PARAMETERS_VARIABLE, ""))
    node = topology.node(name)
    if node is None:
        known = ", ".join(n.id for n in topology.nodes)
        raise PipelineError(f"There is no node {name!r}; there are: {known}.")
    configure_node(f"{topology.place_of(name)} {name}")

    with running(topology, run_id, name):
        folder.mkdir(exist_ok=True)
        logger.info("starting")
        imports.prepare(nodes.ROWS[name].profile, topology.backend)
        from pipelines.launch import launch

        return launch(compiled, topology, node, run_id, parameters, started)


def _ended(work: Callable[[], int]) -> int:
    """The exit code of what a process is for, or of the error that ended it, which is said."""
    try:
        return work()
    except ClassLiftError as error:
        logger.error(f"stopped: {error}")
        return error.exit_code
    except Terminated:
        logger.error("stopped by SIGTERM; its outputs were removed")
        return EXIT_TERMINATED
    except Exception as error:  # the border of the process: everything else is worth a retry
        explained = explain(error)
        if explained:
            logger.error(f"stopped: {explained[0]}")
            return explained[1]
        print(printable(traceback.format_exc(), keep="\n"), file=sys.stderr)
        logger.error(f"failed: {type(error).__name__}: {error}")
        return EXIT_RETRY


def end(code: int) -> NoReturn:
    """Ends this process without TensorFlow's and Beam's teardown, a second or two."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    end(main())
