"""`classlift push`: a person pushes what the gate did not bless."""

import argparse
import json

from classlift.cli.command import Command, json_argument, say
from classlift.errors import EXIT_OK
from classlift.parent import raise_on_sigterm
from pipelines.commands.options import claimed, config_argument


def _arguments(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    parser.add_argument("--by", required=True, metavar="NAME", help="who pushes")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why, in a sentence")
    parser.add_argument("--run", help="default: the latest that reached its gate")
    json_argument(parser)


def _run(arguments: argparse.Namespace) -> int:
    from pipelines.override import push_anyway

    config = claimed(arguments)
    raise_on_sigterm()
    pushed = push_anyway(config, arguments.by, arguments.reason, arguments.run)
    folder = config.mirror.shown(pushed)
    say(json.dumps({"version": int(pushed.name), "folder": folder}) if arguments.json else folder)
    return EXIT_OK


COMMAND = Command(
    "Push what the gate did not bless; who and why are recorded for good.",
    'push --config configs/digits.yaml --by "Ada Lovelace" --reason "seen all errors: labels"',
    _run,
    _arguments,
)
