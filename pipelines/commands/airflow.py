"""`classlift airflow`: the Airflow UI on this machine."""

import argparse

from classlift.cli.command import Command
from pipelines.commands.options import ROOT


def _run(_: argparse.Namespace) -> int:
    from pipelines import airflow
    from pipelines.compile import compile_all

    compile_all()
    home = ROOT / "build" / "airflow"
    airflow.migrate(home)
    airflow.make_pool(home)
    port = airflow.airflow_environment(home)["AIRFLOW__API__PORT"]
    print(f"Airflow's UI will be at http://localhost:{port}; Ctrl-C stops it", flush=True)
    print(f"its users and their passwords: {airflow.passwords_file(home)}", flush=True)
    return airflow.serve(home)


COMMAND = Command(
    "Compile configs/*.yaml and serve the Airflow UI at http://localhost:8080.",
    "airflow",
    _run,
)
