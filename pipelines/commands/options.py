"""What several commands share: the config that they are about."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.config import Config

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""


def config_argument(parser: argparse.ArgumentParser) -> None:
    """Adds `--config`."""
    parser.add_argument("--config", type=Path, required=True, help="e.g. configs/digits.yaml")


def claimed(arguments: argparse.Namespace) -> "Config":
    """The config that a command writes for, whose folders are its own."""
    from pipelines.claims import claim
    from pipelines.config import load_config

    config = load_config(arguments.config)
    claim(config.name, config.path, config.work, config.serving)
    return config
