"""`make demo`: the real pipeline on the demo's data, through Airflow, offline.

python -m demo.run [--parameters '{"steps": 100}'] [--verbose]
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from components.errors import ClassLiftError
from demo.scenes import write_demo_data
from pipelines import airflow
from pipelines.compile import compile_config
from pipelines.config import load_config
from pipelines.run_node import VERBOSE_VARIABLE, read_topology, run_values
from pipelines.summary import render, render_times, summarise

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Runs the demo; returns 0 when the run ended as it should, whatever the verdict."""
    parser = argparse.ArgumentParser(description="Run the demo through Airflow.")
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "digits.yaml")
    parser.add_argument("--parameters", default="{}", help="JSON object of run parameters")
    parser.add_argument("--verbose", action="store_true", help="show all logs")
    arguments = parser.parse_args()
    if arguments.verbose:
        os.environ[VERBOSE_VARIABLE] = "1"
    started = time.monotonic()

    def show(line: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {line}", flush=True)

    try:
        config = load_config(arguments.config)
        show("writing scenes of handwritten digits")
        show("written" if write_demo_data(config.data_root) else "they are there already")
        show("compiling the pipeline")
        compiled = compile_config(config)
        run_values(read_topology(compiled), arguments.parameters)
        show("preparing Airflow's database")
        home = config.work / "airflow"
        airflow.migrate(home)
        runs = config.work / "runs"
        before = set(runs.iterdir()) if runs.exists() else set()
        log = config.work / "airflow.log"
        code = airflow.run_dag(
            f"classlift_retrain_{config.name}",
            json.loads(arguments.parameters),
            home,
            log,
            show,
            arguments.verbose,
        )
        new = set(runs.iterdir()) - before if runs.exists() else set()
        if code or not new:
            print(f"\nclasslift: the run failed; Airflow's whole log: {log}", file=sys.stderr)
            return code or 1
        summary = summarise(config.work, config.name, new.pop().name)
    except ClassLiftError as error:
        print(f"classlift: {error}", file=sys.stderr)
        return error.exit_code
    print(f"\n{render_times(summary)}\n\n{render(summary)}\n\n{time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
