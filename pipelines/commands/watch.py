"""`classlift watch`: what is served is scored on freshly labelled data."""

import argparse
import json
from dataclasses import asdict

from classlift.cli.command import Command, say
from classlift.environment import quiet_tensorflow
from classlift.errors import EXIT_OK
from pipelines.commands.options import claimed, config_argument


def _arguments(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    parser.add_argument(
        "--json", action="store_true", help="print the record, and the classes that fell"
    )


def _run(arguments: argparse.Namespace) -> int:
    from classlift.watch.score import fallen, sentences
    from pipelines.watch import watch

    quiet_tensorflow()
    found = watch(claimed(arguments))
    classes = found.scoring.classes
    if arguments.json:
        extra = {"fell": fallen(classes), "is_new": found.is_new, "page": str(found.page)}
        print(json.dumps({**asdict(found.scoring), **extra}))
        return EXIT_OK
    for sentence in sentences(classes):
        say(sentence)
    for promise in found.promises:
        say(promise.sentence(classes))
    print(f"page: {found.page}")
    return EXIT_OK


COMMAND = Command(
    "Score the version served on freshly labelled data, and keep the series; see `watch` in "
    "the config.",
    "watch --config configs/digits.yaml",
    _run,
    _arguments,
)
