"""`classlift settings`: every key of a config, with what holds when it is not set."""

import argparse
import json

from classlift.cli.command import Command, json_argument
from classlift.errors import EXIT_OK


def _arguments(parser: argparse.ArgumentParser) -> None:
    json_argument(parser)


def _run(arguments: argparse.Namespace) -> int:
    from classlift.settings import reference

    if arguments.json:
        print(json.dumps(reference.records(), indent=1))
    else:
        print("\n".join(reference.lines()))
    return EXIT_OK


COMMAND = Command(
    "List every setting of a config: its default, its range and what it does.",
    "settings --json",
    _run,
    _arguments,
)
