"""`classlift compile`: configs to what the node runner and the DAGs read."""

import argparse
import sys
from pathlib import Path

from classlift.cli.command import Command
from classlift.errors import EXIT_OK
from classlift.progress import configure


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, help="default: all in configs/")


def _run(arguments: argparse.Namespace) -> int:
    from pipelines.compile import compile_all, compile_config
    from pipelines.config import load_config

    if arguments.config:
        print(compile_config(load_config(arguments.config)))
    else:
        configure(sys.stdout)
        compile_all()
    return EXIT_OK


COMMAND = Command(
    "Compile a config to TFX's IR and the topology that the DAG reads.",
    "compile --config configs/digits.yaml",
    _run,
    _arguments,
)
