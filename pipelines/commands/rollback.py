"""`classlift rollback`: an older version is served again."""

import argparse
import json
import logging

from classlift.cli.command import Command, json_argument
from classlift.errors import EXIT_OK
from classlift.parent import raise_on_sigterm
from classlift.serving.bundle import Bundle
from pipelines.commands.options import claimed, config_argument

logger = logging.getLogger(__name__)


def _arguments(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    parser.add_argument("--by", required=True, metavar="NAME", help="who rolls back")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why, in a sentence")
    parser.add_argument(
        "--to", type=int, metavar="VERSION", help="default: the one before the newest"
    )
    json_argument(parser)


def _run(arguments: argparse.Namespace) -> int:
    from pipelines.rollback import roll_back

    config = claimed(arguments)
    raise_on_sigterm()
    destination = roll_back(config, arguments.by, arguments.reason, arguments.to)
    folder = config.mirror.shown(destination)
    record = Bundle(destination).provenance().rollback_of
    if record is not None:
        logger.info(f"served again: version {record.version}, in place of {record.replaced}")
    if arguments.json:
        print(json.dumps({"version": int(destination.name), "folder": folder}))
    else:
        print(folder)
    return EXIT_OK


COMMAND = Command(
    "Serve an older version again, as a copy with a higher number; who and why are recorded.",
    'rollback --config configs/digits.yaml --by "Ada Lovelace" --reason "misses all bikes"',
    _run,
    _arguments,
)
