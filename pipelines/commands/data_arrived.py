"""`classlift data-arrived`: Airflow is told that new labels are there."""

import argparse
import json

from classlift.cli.command import Command, json_argument
from classlift.errors import EXIT_OK
from pipelines.commands.options import ROOT, config_argument


def _arguments(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    parser.add_argument("--url", default="http://localhost:8080", help="of Airflow's server")
    parser.add_argument("--note", metavar="TEXT", help="shown beside the event in the UI")
    json_argument(parser)


def _run(arguments: argparse.Namespace) -> int:
    from pipelines.arrival import raise_event
    from pipelines.config import load_config

    name = load_config(arguments.config).name
    raise_event(name, arguments.url, arguments.note, ROOT / "build" / "airflow")
    if arguments.json:
        print(json.dumps({"asset": f"labels/{name}", "url": arguments.url}))
    else:
        print(f"Airflow was told that labels/{name} have arrived.")
    return EXIT_OK


COMMAND = Command(
    "Tell Airflow that new labels are there: a run starts, and ends early if too few are new.",
    "data-arrived --config configs/digits.yaml",
    _run,
    _arguments,
)
