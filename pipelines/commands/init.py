"""`classlift init`: a first config for a model and a folder of labels."""

import argparse
import json
import shlex
from collections.abc import Mapping
from pathlib import Path

from classlift.cli.command import Command, json_argument, say
from classlift.environment import quiet_tensorflow
from classlift.errors import EXIT_OK


def _arguments(parser: argparse.ArgumentParser) -> None:
    from classlift.data.formats import FORMATS

    parser.add_argument("--model", type=Path, required=True, help="the folder of the model")
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("path", type=Path, nargs="?", metavar="DATA", help="as --data")
    data.add_argument("--data", type=Path, help="a file or folder of labels")
    parser.add_argument(
        "--target",
        help="the class to raise; default: the one that the model finds worst, else the rarest",
    )
    parser.add_argument("--format", choices=list(FORMATS), help="when the labels do not tell")
    parser.add_argument("--images", type=Path, help="where the images are, if not with the labels")
    parser.add_argument(
        "--config",
        type=Path,
        help="the file to write, e.g. configs/scooters.yaml; default: called as the data, here",
    )
    json_argument(parser)


def _environment(arguments: argparse.Namespace) -> Mapping[str, str]:
    from classlift.detectors.backends import ENVIRONMENTS, trainable_backend_of

    return ENVIRONMENTS[trainable_backend_of(arguments.model)]


def _run(arguments: argparse.Namespace) -> int:
    quiet_tensorflow()
    from pipelines.first_config import Start, named_after, recalls_on_eval, write_first_config

    images = arguments.images.resolve() if arguments.images else None
    data = arguments.data or arguments.path
    start = Start(arguments.model, data, images, arguments.format, arguments.target)
    path = arguments.config or named_after(data)
    written = write_first_config(start, path, recalls_on_eval)
    if arguments.json:
        found = {"config": str(path), "missing": written.remarks, "ready": written.is_ready}
        print(json.dumps(found))
        return EXIT_OK
    for remark in written.remarks:
        say(f"{remark}.")
    next_ = "next" if written.is_ready else "a run would stop at what is missing; after that"
    say(f"written: {path}; {next_}: classlift run --config {shlex.quote(str(path))}")
    return EXIT_OK


COMMAND = Command(
    "Write a first config for a model and labels, and say what is missing.",
    "init --model models/ssd --data /data/streets",
    _run,
    _arguments,
    _environment,
)
