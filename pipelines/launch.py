"""Runs a node by TFX's own launcher, between our hooks.

Imported once `pipelines.imports.prepare` has chosen what TFX finds.
"""

import logging
import os
import time
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from absl import logging as absl_logging
from google.protobuf import json_format
from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.io import fileio
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import launcher, runtime_parameter_utils
from tfx.proto.orchestration import executable_spec_pb2, pipeline_pb2

from classlift.environment import CURVES_VARIABLE, RUN_VARIABLE, VERBOSE_VARIABLE
from classlift.errors import EXIT_NOTHING_TO_DO, EXIT_RETRY, PipelineError
from classlift.parent import raise_on_sigterm
from classlift.settings.field import Values
from pipelines import imports, nodes
from pipelines import metadata as classlift_metadata
from pipelines.bindings import bind
from pipelines.hooks import Ending, Start
from pipelines.node_record import CACHED, DONE, SKIPPED, NodeRecord
from pipelines.places import CURVES, PIPELINE_ROOT, run_folder
from pipelines.run_values import require_gpu
from pipelines.topology import IR, Topology, TopologyNode

logger = logging.getLogger(__name__)


def launch(
    compiled: Path,
    topology: Topology,
    node: TopologyNode,
    run_id: str,
    parameters: Values,
    started: float,
) -> int:
    """Runs the node in this process.

    Args:
        compiled: the folder of the compiled config.
        topology: what is in it.
        node: which node it is.
        run_id: of the run that it belongs to.
        parameters: the values of all parameters of the run.
        started: when the node was asked for, by the monotonic clock.

    Returns:
        The exit code.

    Raises:
        PipelineError: when a node that it needs has not finished, or its inputs can't be resolved.

    """
    name, row = node.id, nodes.ROWS[node.id]
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
    importing = time.monotonic() - started
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
            imports.import_for_work(row.profile, module, needs_beam)
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
    state = store.get_executions_by_id([info.execution_id])[0].last_known_state
    if state not in classlift_metadata.DONE:
        logger.error(f"failed, state {metadata_store_pb2.Execution.State.Name(state)}")
        return EXIT_RETRY
    artifacts = classlift_metadata.artifacts_of(store, [info.execution_id])
    cached = state == metadata_store_pb2.Execution.CACHED
    start = replace(start, store=store)
    code = row.ended(Ending(start, looked, info.execution_id, artifacts, cached))
    seconds = time.monotonic() - started
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
    for artifacts in execution_info.output_dict.values():
        for artifact in artifacts:
            if fileio.exists(artifact.uri):
                if not Path(artifact.uri).resolve().is_relative_to(root.resolve()):
                    raise PipelineError(f"{artifact.uri}: an output that is not below {root}.")
                remove = fileio.rmtree if fileio.isdir(artifact.uri) else fileio.remove
                remove(artifact.uri)


def _quiet_logs() -> None:
    asked = os.environ.get(VERBOSE_VARIABLE)
    absl_logging.set_verbosity(absl_logging.INFO if asked else absl_logging.ERROR)
