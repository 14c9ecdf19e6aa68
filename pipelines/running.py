"""One run of a config at a time, from wherever it is started."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from classlift import own_folders
from classlift.locks import alone, sharing
from pipelines.claims import claim
from pipelines.nodes import PIPELINE_ROOT
from pipelines.parent import PARENT_VARIABLE

HOLDER_VARIABLE = "CLASSLIFT_HOLDER"
"""What the processes of one run have in common where its id is not known beforehand."""

RUNS, LOCK = "runs", ".lock"


@contextmanager
def running(
    topology: Mapping[str, Any],
    run_id: str,
    report: Callable[[str], None] = print,
    node: str | None = None,
) -> Iterator[None]:
    """Within the block no other run of the config goes on, and this node of it nowhere else.

    The processes of one run share the config. One that Airflow started waits until it is free, for
    Airflow's own limit; any other is refused at once. Between two nodes of a run in Airflow nobody
    holds the config, so that a run which waits for a person hinders no other.

    Raises UnavailableError, with the name of who has it; ConfigError when the folders of the config
    are not its own, see `claim`.
    """
    work = Path(topology["work"])
    claim(topology["name"], Path(topology["config"]), work, Path(topology["serving"]), report)
    runs = own_folders.make(work / RUNS, own_folders.RUNS)
    own_folders.make(work / PIPELINE_ROOT, own_folders.OUTPUTS)
    key, wait = os.environ.get(HOLDER_VARIABLE) or run_id, PARENT_VARIABLE in os.environ
    with ExitStack() as stack:
        doing = f"run {run_id} of {topology['name']}"
        stack.enter_context(sharing(runs / LOCK, doing, key, wait, report))
        if node:
            doing = f"{node} of run {run_id}"
            stack.enter_context(alone(runs / f"{LOCK}.{node}", doing, wait, report))
        yield
