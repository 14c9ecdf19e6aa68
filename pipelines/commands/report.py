"""`classlift report`: the latest verdict of a config."""

import argparse
import json

from classlift.cli.command import Command, say
from classlift.errors import EXIT_OK, ConfigError
from classlift.gate.terminal import sentences
from classlift.gate.verdict import REPORT, VERDICT, Verdict
from classlift.settings.targets import classes_in_words
from pipelines.commands.options import config_argument


def _arguments(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    parser.add_argument("--json", action="store_true", help="print verdict.json")


def _run(arguments: argparse.Namespace) -> int:
    from pipelines.config import load_config

    config = load_config(arguments.config)
    if not (config.work / VERDICT).exists():
        raise ConfigError(
            f"{config.work / VERDICT}: there is no verdict yet; run the pipeline first."
        )
    verdict = Verdict.read(config.work)
    if arguments.json:
        print(json.dumps(verdict.to_json()))
    else:
        say(
            f"Verdict on {classes_in_words(verdict.targets)}: {verdict.verdict}",
            *sentences(verdict),
            f"Report: {config.work / REPORT}",
        )
    return EXIT_OK


COMMAND = Command(
    "Show the latest verdict of a config and where its report lies.",
    "report --config configs/digits.yaml --json",
    _run,
    _arguments,
)
