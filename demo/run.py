"""`make demo`: the real pipeline on the demo's data, through Airflow, offline.

python -m demo.run [--parameters '{"steps": 100}'] [--verbose]
"""

import argparse
import json
import logging
import os
import sys
import uuid
from pathlib import Path
from typing import Any

from classlift.cli.command import say
from classlift.environment import HOLDER_VARIABLE, VERBOSE_VARIABLE
from classlift.faults import exit_code_of
from classlift.progress import ELAPSED, configure, escape_what_is_not_printable
from demo.scenes import write_demo_data
from pipelines import airflow
from pipelines.compile import compile_config
from pipelines.config import Config, load_config
from pipelines.places import RUNS
from pipelines.run_values import run_values
from pipelines.running import running
from pipelines.summary import render, render_times, summarise
from pipelines.topology import Topology

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parent.parent
LOG = "airflow.log"


def main() -> int:
    """Runs the demo; returns 0 when the run ended as it should, whatever the verdict."""
    parser = argparse.ArgumentParser(description="Run the demo through Airflow.")
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "digits.yaml")
    parser.add_argument("--parameters", default="{}", help="JSON object of run parameters")
    parser.add_argument("--verbose", action="store_true", help="show all logs")
    arguments = parser.parse_args()
    escape_what_is_not_printable()
    configure(sys.stdout, ELAPSED)
    if arguments.verbose:
        os.environ[VERBOSE_VARIABLE] = "1"
    return exit_code_of(lambda: _demo(arguments))


def _demo(arguments: argparse.Namespace) -> int:
    config = load_config(arguments.config)
    logger.info("writing scenes of handwritten digits")
    logger.info("written" if write_demo_data(config.data_root) else "they are there already")
    logger.info("compiling the pipeline")
    topology = Topology.read(compile_config(config))
    run_values(topology, arguments.parameters)
    os.environ[HOLDER_VARIABLE] = holder = f"demo {uuid.uuid4()}"  # Airflow chooses a run's id
    with running(topology, holder):
        code, run_id = _run(config, json.loads(arguments.parameters), arguments.verbose)
    if code or run_id is None:
        print(
            f"\nclasslift: the run failed; Airflow's whole log: {config.work / LOG}",
            file=sys.stderr,
        )
        return code or 1
    summary = summarise(config, run_id)
    say("", render_times(summary), "", *render(summary), "")
    logger.info("done")
    return 0


def _run(config: Config, parameters: dict[str, Any], verbose: bool) -> tuple[int, str | None]:
    """The exit code of Airflow, and the id that it gave to the run; None if it began none."""
    logger.info("preparing Airflow's database")
    home, runs = config.work / "airflow", config.work / RUNS
    airflow.migrate(home)
    before = set(runs.iterdir())
    dag = f"classlift_retrain_{config.name}"
    code = airflow.run_dag(dag, parameters, home, config.work / LOG, verbose)
    new = [run.name for run in set(runs.iterdir()) - before if run.is_dir()]
    return code, new[0] if new else None


if __name__ == "__main__":
    sys.exit(main())
