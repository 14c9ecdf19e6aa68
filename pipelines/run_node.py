"""Runs exactly one node of a compiled pipeline in this process.

    python -m pipelines.run_node --compiled build/compiled/digits --node Trainer --run-id RUN

The parameters of the run come as one JSON object in the environment variable CLASSLIFT_PARAMETERS;
they never meet a shell. Exit codes: 0 done or cached; 99 nothing to do; 78 a fault that a retry
can't mend; 1 worth a retry.

This module imports what the node needs and no more (`pipelines.imports`): TensorFlow and Beam only
for the work itself, once the cache has no answer.
"""

import argparse
import importlib
import logging
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from classlift import gpus
from classlift.detectors.backends import ENVIRONMENTS
from classlift.environment import (
    CURVES_VARIABLE,
    PARAMETERS_VARIABLE,
    RUN_VARIABLE,
    VERBOSE_VARIABLE,
)
from classlift.errors import (
    EXIT_NOTHING_TO_DO,
    EXIT_RETRY,
    ClassLiftError,
    ConfigError,
    PipelineError,
)
from classlift.faults import explain
from classlift.parent import (
    EXIT_TERMINATED,
    Terminated,
    die_with_parent,
    raise_on_sigterm,
)
from classlift.progress import configure_node, escape_what_is_not_printable
from classlift.reading import parse_json
from classlift.settings.field import Values
from classlift.text import printable
from pipelines import imports, nodes
from pipelines.hooks import Ending, Start
from pipelines.node_record import CACHED, DONE, SKIPPED, NodeRecord
from pipelines.parameters import check
from pipelines.places import CURVES, PIPELINE_ROOT, run_folder
from pipelines.running import running
from pipelines.topology import IR, Topology, TopologyNode

logger = logging.getLogger(__name__)

STARTED = time.monotonic()
OURS = "components"


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Run one node of a compiled pipeline.")
    parser.add_argument(
        "--compiled", type=Path, required=True, help="folder of the compiled config"
    )
    parser.add_argument("--node", required=True)
    parser.add_argument("--run-id", required=True)
    arguments = parser.parse_args()
    die_with_parent()
    escape_what_is_not_printable()
    configure_node(arguments.node)
    with _temporary_folder():
        return _ended(lambda: _start(arguments.compiled, arguments.node, arguments.run_id))


@contextmanager
def _temporary_folder() -> Iterator[None]:
    """All temporary files go into one folder that goes away: libraries leave theirs at each run."""
    with tempfile.TemporaryDirectory(prefix="classlift_", ignore_cleanup_errors=True) as folder:
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        yield


def _start(compiled: Path, name: str, run_id: str) -> int:
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
        return _run(compiled, topology, node, run_id, parameters)


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


def run_values(topology: Topology, text: str) -> Values:
    """The values of all run parameters: the config's, replaced by those of the run.

    Args:
        topology: of the compiled config.
        text: a JSON object; empty for none.

    Returns:
        The values by name.

    Raises:
        ConfigError: it is not JSON, a name is unknown, or a value is wrong.

    """
    given = parse_json(text or "{}", PARAMETERS_VARIABLE, ConfigError)
    if not isinstance(given, dict):
        raise ConfigError(f"{PARAMETERS_VARIABLE} must be a JSON object of parameters.")
    check(given, topology.parameters)
    return {**topology.defaults, **given}


def require_gpu(values: Values) -> None:
    """Raises ConfigError for a run that is to train on a GPU where there is none."""
    if values.get("device") == "gpu" and not values.get("recalibrate") and not gpus.count():
        raise ConfigError(f"`device` is gpu, and {gpus.ADVICE}.")


def _prepare_imports(profile: str, backend: str) -> None:
    """Sets what a backend has to find when it is imported, and lets TFX do without TensorFlow and
    Beam, which it falls back from: they would take the process seconds.
    """
    imports.quiet_tensorflow()
    is_detector = profile == nodes.DETECTOR
    os.environ.update(ENVIRONMENTS[backend] if is_detector else imports.WITHOUT_KERAS)
    imports.forbid()
    imports.import_names()


def _import_for_work(profile: str, module: str, needs_beam: bool) -> None:
    """Imports what takes long, once the node has work to do.

    Args:
        profile: of the node.
        module: that has the class which does the work.
        needs_beam: whether that class runs on Beam, and not only a part of its work.

    """
    if profile != nodes.LIGHT:
        imports.allow("tensorflow")
        importlib.import_module("tensorflow")
    else:
        imports.unused_late()
    if module.startswith(f"{OURS}."):
        importlib.import_module(module)  # TFX's decorator would import Beam for nothing
    imports.allow("apache_beam")
    if needs_beam:
        from tfx.dsl.components.base import base_beam_executor

        importlib.reload(base_beam_executor)  # it fell back to a class without Beam


def _run(
    compiled: Path,
    topology: Topology,
    node: TopologyNode,
    run_id: str,
    parameters: Values,
) -> int:
    """Runs the node in this process.

    Args:
        compiled: the folder of the compiled config.
        topology: what is in it.
        node: which node it is.
        run_id: of the run that it belongs to.
        parameters: the values of all parameters of the run.

    Returns:
        The exit code.

    Raises:
        PipelineError: when a node that it needs has not finished, or its inputs can't be resolved.

    """
    name, row = node.id, nodes.ROWS[node.id]
    _prepare_imports(row.profile, topology.backend)
    from google.protobuf import json_format
    from tfx.orchestration import metadata
    from tfx.orchestration.local import runner_utils
    from tfx.orchestration.portable import launcher, runtime_parameter_utils
    from tfx.proto.orchestration import executable_spec_pb2, pipeline_pb2

    from pipelines import metadata as classlift_metadata
    from pipelines.bindings import bind

    _quiet_logs()
    ir = json_format.Parse((compiled / IR).read_text(), pipeline_pb2.Pipeline())
    deployment = runner_utils.extract_local_deployment_config(ir)
    connection = deployment.metadata_connection_config.database_connection_config
    mlmd = metadata.Metadata(connection)

    classlift_metadata.begin_anew(connection)
    store = classlift_metadata.open_store(connection)
    missing = set(node.upstream) - classlift_metadata.nodes_done(store, topology.name, run_id)
    if missing:
        raise PipelineError(
            f"Run {run_id}: {name} can't start, for {', '.join(sorted(missing))} has not finished "
            "in this run."
        )
    start = Start(topology, name, run_id, parameters, connection, store)
    looked = row.looks(start)
    values = {**vars(bind(parameters, topology.for_trainer())), **looked}
    runtime_parameter_utils.substitute_runtime_parameter(ir, {**values, "pipeline-run-id": run_id})
    pipeline_node = next(n.pipeline_node for n in ir.nodes if n.pipeline_node.node_info.id == name)
    importing = time.monotonic() - STARTED
    os.environ[RUN_VARIABLE] = run_id  # no parameter: the cache would never answer
    os.environ[CURVES_VARIABLE] = str(run_folder(topology.work, run_id) / CURVES)
    raise_on_sigterm()

    class NodeLauncher(launcher.Launcher):  # type: ignore[misc]  # TFX has no types
        def _run_executor(self, execution_info: Any) -> Any:
            _clear_outputs(execution_info, topology.work / PIPELINE_ROOT)
            return super()._run_executor(execution_info)

    class LateOperator:
        """TFX's own imports the executor when it is made; for what the cache answers, it isn't."""

        def __init__(self, **arguments: Any) -> None:
            self._arguments = arguments

        @cached_property
        def _own(self) -> Any:
            nonlocal importing
            begun = time.monotonic()
            if row.on_gpu:
                require_gpu(parameters)
            _import_for_work(row.profile, module, needs_beam)
            own = launcher.DEFAULT_EXECUTOR_OPERATORS[type(executor)](**self._arguments)
            importing += time.monotonic() - begun
            return own

        def __getattr__(self, name: str) -> Any:
            return getattr(self._own, name)

    executor = runner_utils.extract_executor_spec(deployment, name)
    needs_beam = isinstance(executor, executable_spec_pb2.BeamExecutableSpec)
    python = executor.python_executor_spec if needs_beam else executor
    module = python.class_path.rpartition(".")[0]
    info = NodeLauncher(
        pipeline_node=pipeline_node,
        mlmd_connection=mlmd,
        pipeline_info=ir.pipeline_info,
        pipeline_runtime_spec=ir.runtime_spec,
        executor_spec=executor,
        custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, name),
        custom_executor_operators={type(executor): LateOperator},
    ).launch()

    # launch() returns normally when inputs can't be resolved: only the store knows the truth.
    store = classlift_metadata.open_store(connection)
    if info is None or info.execution_id is None:
        raise PipelineError(f"Run {run_id}: the inputs of {name} can't be resolved.")
    from ml_metadata.proto import metadata_store_pb2

    state = store.get_executions_by_id([info.execution_id])[0].last_known_state
    if state not in classlift_metadata.DONE:
        logger.error(f"failed, state {metadata_store_pb2.Execution.State.Name(state)}")
        return EXIT_RETRY
    artifacts = classlift_metadata.artifacts_of(store, [info.execution_id])
    cached = state == metadata_store_pb2.Execution.CACHED
    start = replace(start, store=store)
    code = row.ended(Ending(start, looked, info.execution_id, artifacts, cached))
    seconds = time.monotonic() - STARTED
    outcome = SKIPPED if code == EXIT_NOTHING_TO_DO else CACHED if cached else DONE
    logger.info(f"{outcome} in {seconds:.1f} s, {importing:.1f} s of it imports")
    NodeRecord(name, outcome, seconds, importing).write(run_folder(topology.work, run_id))
    return code


def _clear_outputs(execution_info: Any, root: Path) -> None:
    """Removes what an attempt that was killed left in the output folders, which TFX reuses.

    Args:
        execution_info: of TFX; names the folders.
        root: of all outputs, which carries our mark; nothing is removed elsewhere.

    Raises:
        PipelineError: a folder is not below it.

    """
    from tfx.dsl.io import fileio

    for artifacts in execution_info.output_dict.values():
        for artifact in artifacts:
            if fileio.exists(artifact.uri):
                if not Path(artifact.uri).resolve().is_relative_to(root.resolve()):
                    raise PipelineError(f"{artifact.uri}: an output that is not below {root}.")
                remove = fileio.rmtree if fileio.isdir(artifact.uri) else fileio.remove
                remove(artifact.uri)


def _quiet_logs() -> None:
    from absl import logging

    logging.set_verbosity(logging.INFO if os.environ.get(VERBOSE_VARIABLE) else logging.ERROR)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


if __name__ == "__main__":
    exit_code = main()
    _flush()
    os._exit(exit_code)  # without TensorFlow's and Beam's teardown, a second or two
