"""One run of a config at a time, from wherever it is started."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from classlift import own_folders
from classlift.environment import HOLDER_VARIABLE, PARENT_VARIABLE
from classlift.locks import alone, sharing
from pipelines.claims import claim
from pipelines.places import PIPELINE_ROOT, RUNS

LOCK = ".lock"


class Claimed(Protocol):
    """A config whose folders are its own: what `running` needs to know of a topology."""

    @property
    def name(self) -> str:
        """The name of the config."""

    @property
    def config(self) -> Path:
        """Its file."""

    @property
    def work(self) -> Path:
        """Where runs leave everything but what is served."""

    @property
    def serving(self) -> Path:
        """The folder of TF Serving."""


@contextmanager
def running(
    topology: Claimed,
    run_id: str,
    node: str | None = None,
) -> Iterator[None]:
    """Within the block no other run of the config goes on, and this node of it nowhere else.

    The processes of one run share the config. One that Airflow started waits until it is free, for
    Airflow's own limit; any other is refused at once. Between two nodes of a run in Airflow nobody
    holds the config, so that a run which waits for a person hinders no other.

    Args:
        topology: of the config.
        run_id: of the run.
        node: id of the node; None for a whole run.

    Raises:
        UnavailableError: somebody else has it; names who.
        ConfigError: the folders of the config are not its own, see `claim`.

    """
    claim(topology.name, topology.config, topology.work, topology.serving)
    runs = own_folders.make(topology.work / RUNS, own_folders.RUNS)
    own_folders.make(topology.work / PIPELINE_ROOT, own_folders.OUTPUTS)
    key, wait = os.environ.get(HOLDER_VARIABLE) or run_id, PARENT_VARIABLE in os.environ
    with ExitStack() as stack:
        doing = f"run {run_id} of {topology.name}"
        stack.enter_context(sharing(runs / LOCK, doing, key, wait))
        if node:
            doing = f"{node} of run {run_id}"
            stack.enter_context(alone(runs / f"{LOCK}.{node}", doing, wait))
        yield
