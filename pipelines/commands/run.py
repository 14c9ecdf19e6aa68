"""`classlift run`: the whole pipeline on this machine, without Airflow."""

import argparse
import datetime
import json
import logging
import os
import sys
from typing import Any

from classlift.cli.command import Command, say
from classlift.environment import VERBOSE_VARIABLE
from classlift.errors import EXIT_OK, ConfigError
from classlift.progress import configure
from pipelines.commands.options import ROOT, config_argument

logger = logging.getLogger(__name__)


def _arguments(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of this run; numbers, true, false, null and objects are read as JSON",
    )
    parser.add_argument(
        "--verbose", action="store_true", help="show all logs of TensorFlow and TFX"
    )
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON at the end")


def _run(arguments: argparse.Namespace) -> int:
    from pipelines.compile import compile_config
    from pipelines.config import load_config
    from pipelines.local_runner import run_pipeline
    from pipelines.summary import render, render_times, summarise

    if arguments.verbose:
        os.environ[VERBOSE_VARIABLE] = "1"
    parameters = dict(_assignment(text) for text in arguments.set)
    config = load_config(arguments.config)
    configure(sys.stderr if arguments.json else sys.stdout)
    logger.info("compiling the pipeline")
    compiled = compile_config(config, in_airflow=config.path.parent == ROOT / "configs")
    run_id = datetime.datetime.now(datetime.UTC).strftime("local__%Y%m%dT%H%M%S%f")
    code = run_pipeline(
        compiled,
        run_id,
        parameters,
        verbose=arguments.verbose,
    )
    if code != EXIT_OK:
        return code
    summary = summarise(config, run_id)
    if arguments.json:
        print(json.dumps(summary.verdict.to_json()))
    else:
        say(f"\n{render_times(summary)}\n\n{render(summary)}")
    return EXIT_OK


def _assignment(text: str) -> tuple[str, Any]:
    """`name=value`; a value that is no JSON, or a JSON string or list, is a string."""
    name, separator, value = text.partition("=")
    if not separator:
        raise ConfigError(f"--set {text[:80]!r} must be NAME=VALUE.")
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        return name, value
    # The classes of some models are called 8: a name stays a string.
    return name, value if name == "target" or isinstance(parsed, str | list) else parsed


COMMAND = Command(
    "Run the whole pipeline of a config on this machine, without Airflow.",
    "run --config configs/digits.yaml --set target=8 --set steps=400",
    _run,
    _arguments,
)
