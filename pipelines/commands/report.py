"""`classlift report`: the latest verdict of a config."""

import argparse
import json

from classlift.cli.command import Command, say
from classlift.errors import EXIT_OK
from classlift.settings.targets import classes_in_words
from pipelines.commands.options import config_argument


def _arguments(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    parser.add_argument("--json", action="store_true", help="print verdict.json")


def _run(arguments: argparse.Namespace) -> int:
    from classlift.gate.terminal import sentences
    from pipelines.config import load_config
    from pipelines.summary import read_latest, render_outcome

    latest = read_latest(load_config(arguments.config))
    verdict = latest.verdict
    if arguments.json:
        print(json.dumps(verdict.to_json()))
    else:
        say(
            f"Run {latest.run}, {classes_in_words(verdict.targets)}: {verdict.verdict}",
            *sentences(verdict),
            *render_outcome(latest),
        )
    return EXIT_OK


COMMAND = Command(
    "Show the latest verdict of a config and where its report lies.",
    "report --config configs/digits.yaml --json",
    _run,
    _arguments,
)
