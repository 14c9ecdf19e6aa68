"""`classlift run`: the whole pipeline on this machine, without Airflow."""

import argparse
import datetime
import json
import logging
import os
import sys

from classlift.cli.command import Command, say
from classlift.environment import VERBOSE_VARIABLE
from classlift.errors import EXIT_OK
from classlift.progress import configure
from pipelines.commands.options import ROOT, assigned, config_argument, set_argument

logger = logging.getLogger(__name__)


def _arguments(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    set_argument(parser)
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
    parameters = assigned(arguments)
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
        say("", render_times(summary), "", *render(summary))
    return EXIT_OK


COMMAND = Command(
    "Run the whole pipeline of a config on this machine, without Airflow.",
    "run --config configs/digits.yaml --set target=8 --set steps=400",
    _run,
    _arguments,
)
