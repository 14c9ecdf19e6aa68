"""What several commands share: the config that they are about, and the parameters of a run."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classlift.errors import ConfigError
from classlift.settings.targets import as_value

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


def loaded(path: Path) -> "Config":
    """The config that a command reads for, with what is served now."""
    from pipelines.config import load_config
    from pipelines.places import serving_of

    config = load_config(path)
    serving_of(config).refresh()
    return config


def set_argument(parser: argparse.ArgumentParser, what: str = "a parameter of this run") -> None:
    """Adds `--set`, once for each parameter; `what` they are, for `--help`."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"{what}; numbers, true, false, null and objects are read as JSON",
    )


def assigned(arguments: argparse.Namespace) -> dict[str, Any]:
    """The parameters that `--set` names. Raises ConfigError for what is no NAME=VALUE."""
    return dict(_assignment(text) for text in arguments.set)


def _assignment(text: str) -> tuple[str, Any]:
    """`name=value`; no JSON, a JSON string or list is text, but for a list of classes."""
    name, separator, value = text.partition("=")
    if not separator:
        raise ConfigError(f"--set {text[:80]!r} must be NAME=VALUE.")
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        return name, value
    if name == "target":  # the classes of some models are called 8: a name stays a string
        names = parsed if isinstance(parsed, list) else [value]
        return name, as_value([n if isinstance(n, str) else json.dumps(n) for n in names])
    return name, value if isinstance(parsed, str | list) else parsed
