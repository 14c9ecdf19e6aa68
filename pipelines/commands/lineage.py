"""`classlift lineage`: what a served version is made of."""

import argparse
import json

from classlift.cli.command import Command, json_argument, say
from classlift.errors import EXIT_OK
from pipelines.commands.options import config_argument, loaded


def _arguments(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    parser.add_argument("version", type=int, nargs="?", help="default: the newest")
    json_argument(parser)


def _run(arguments: argparse.Namespace) -> int:
    from pipelines.lineage import render, trace

    lineage = trace(loaded(arguments.config), arguments.version)
    say(json.dumps(lineage.to_json()) if arguments.json else render(lineage))
    return EXIT_OK


COMMAND = Command(
    "Say what a served version is made of: data, recipe, verdict, and the versions before it.",
    "lineage --config configs/digits.yaml",
    _run,
    _arguments,
)
