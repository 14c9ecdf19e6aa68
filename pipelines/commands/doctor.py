"""`classlift doctor`: what this machine has, and what it is missing."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from classlift.cli.command import Command, json_argument, say
from classlift.colour import PLAIN, RED, Line
from classlift.errors import EXIT_OK, EXIT_PERMANENT


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, help="whose paths are looked at, too")
    json_argument(parser)


def _run(arguments: argparse.Namespace) -> int:
    from pipelines.airflow import airflow_port
    from pipelines.config import load_config
    from pipelines.machine import look, look_at

    checks = list(look(airflow_port()))
    if arguments.config:
        checks += look_at(load_config(arguments.config))
    if arguments.json:
        print(json.dumps([asdict(check) for check in checks]))
    else:
        for check in checks:
            missing = f"; MISSING: {check.advice}" if check.advice else ""
            say(Line(f"{check.name}: {check.found}{missing}", RED if missing else PLAIN))
    return EXIT_PERMANENT if any(check.advice for check in checks) else EXIT_OK


COMMAND = Command(
    "Say what this machine has and is missing: versions, GPU, memory, disk, a port, paths.",
    "doctor --json",
    _run,
    _arguments,
)
