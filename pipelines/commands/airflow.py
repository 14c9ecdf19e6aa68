"""`classlift airflow`: the Airflow UI on this machine."""

import argparse

from classlift.cli.command import Command
from classlift.errors import ConfigError
from pipelines.commands.options import ROOT


def _run(_: argparse.Namespace) -> int:
    from pipelines import airflow
    from pipelines.compile import compile_all
    from pipelines.machine import is_free

    port = airflow.airflow_port()
    if not is_free(port):
        raise ConfigError(
            f"Port {port} of this machine is taken, by an Airflow that runs already or another "
            f"program: end that, or choose another port (AIRFLOW__API__PORT={port + 1} classlift "
            "airflow)."
        )
    compile_all()
    home = ROOT / "build" / "airflow"
    airflow.migrate(home)
    airflow.make_pool(home)
    print(f"Airflow's UI will be at http://localhost:{port}; Ctrl-C stops it", flush=True)
    print(f"its users and their passwords: {airflow.passwords_file(home)}", flush=True)
    return airflow.serve(home)


COMMAND = Command(
    "Compile configs/*.yaml and serve the Airflow UI at http://localhost:8080.",
    "airflow",
    _run,
)
