"""`classlift versions`: what a config serves, and what can be served again."""

import argparse
import json

from classlift.cli.command import Command, json_argument, say
from classlift.errors import EXIT_OK
from pipelines.commands.options import config_argument


def _arguments(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    json_argument(parser)


def _run(arguments: argparse.Namespace) -> int:
    from pipelines.config import load_config
    from pipelines.versions import read_versions, render, to_json

    versions = read_versions(load_config(arguments.config))
    if arguments.json:
        print(json.dumps(to_json(versions)))
    else:
        say(*render(versions))
    return EXIT_OK


COMMAND = Command(
    "List the versions of a config: the one served now, and those to go back to.",
    "versions --config configs/digits.yaml",
    _run,
    _arguments,
)
