"""`classlift report`: the latest verdict of a config."""

import argparse
import json

from classlift.cli.command import Command, say
from classlift.errors import EXIT_OK, ConfigError
from classlift.text import shown
from pipelines.commands.options import config_argument


def _arguments(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    parser.add_argument("--json", action="store_true", help="print verdict.json")


def _run(arguments: argparse.Namespace) -> int:
    from pipelines.config import load_config

    config = load_config(arguments.config)
    path = config.work / "verdict.json"
    if not path.exists():
        raise ConfigError(f"{path}: there is no verdict yet; run the pipeline first.")
    verdict = json.loads(path.read_text())
    if arguments.json:
        print(json.dumps(verdict))
    else:
        say(f"Verdict on class {shown(verdict['target'])}: {verdict['verdict']}")
        for reason in verdict["reasons"]:
            say(f"  {reason}")
        print(f"Report: {config.work / 'report.html'}")
    return EXIT_OK


COMMAND = Command(
    "Show the latest verdict of a config and where its report lies.",
    "report --config configs/digits.yaml --json",
    _run,
    _arguments,
)
