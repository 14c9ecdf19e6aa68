"""`classlift compile`: configs to what the node runner and the DAGs read."""

import argparse
import json
import sys
from pathlib import Path

from classlift.cli.command import Command, json_argument
from classlift.errors import EXIT_OK
from classlift.progress import configure


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, help="default: all in configs/")
    json_argument(parser)


def _run(arguments: argparse.Namespace) -> int:
    from pipelines.compile import compile_all, compile_config
    from pipelines.config import load_config

    if arguments.config:
        folders = [compile_config(load_config(arguments.config))]
    else:
        configure(sys.stderr if arguments.json else sys.stdout)
        folders = compile_all()
    if arguments.json:
        print(json.dumps([str(folder) for folder in folders]))
    elif arguments.config:
        print(folders[0])
    return EXIT_OK


COMMAND = Command(
    "Compile a config to TFX's IR and the topology that the DAG reads.",
    "compile --config configs/digits.yaml",
    _run,
    _arguments,
)
