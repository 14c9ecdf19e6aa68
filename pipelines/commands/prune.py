"""`classlift prune`: what old runs left behind and nothing needs."""

import argparse
import sys
from dataclasses import replace

from classlift.cli.command import Command, setting_argument
from classlift.errors import EXIT_OK
from classlift.progress import configure
from classlift.settings.config import Retention
from pipelines.commands.options import claimed, config_argument


def _arguments(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    for name, text in (
        ("runs", "so many of the newest runs"),
        ("days", "all runs that are younger than so many days"),
        ("versions", "so many of the newest served versions"),
    ):
        about = f"keep {text}, with all that they need; default: `retention` in the config"
        setting_argument(parser, Retention, name, about)
    parser.add_argument(
        "--remove", action="store_true", help="remove it; without, it is only shown"
    )


def _run(arguments: argparse.Namespace) -> int:
    from pipelines import prune
    from pipelines.config import load_config

    config = claimed(arguments) if arguments.remove else load_config(arguments.config)
    given = {name: getattr(arguments, name) for name in ("runs", "days", "versions")}
    given = {name: value for name, value in given.items() if value is not None}
    retention = replace(config.retention, **given)
    if arguments.remove:
        configure(sys.stdout)  # what is removed is the result
        with prune.alone_with(config):
            found = prune.plan(config, retention)
            prune.remove(config, found)
    else:
        found = prune.plan(config, retention)
        for left in found.leftovers:
            print(f"{prune.readable(left.size):>10}  {left.path}")
    counts = ", ".join(
        f"{found.count(kind)} {kind}{'' if found.count(kind) == 1 else 's'} "
        f"({prune.readable(found.size(kind))})"
        for kind in (prune.ARTIFACT, prune.RUN, prune.VERSION)
    )
    print(f"kept: {len(found.kept_runs)} runs, {len(found.kept_versions)} served versions")
    print(f"{'removed' if arguments.remove else 'would go'}: {counts}")
    if found.leftovers and not arguments.remove:
        print("nothing is removed yet: run it again with --remove")
    return EXIT_OK


COMMAND = Command(
    "Show what old runs left behind and nothing needs, and remove it when asked to.",
    "prune --config configs/digits.yaml --runs 5",
    _run,
    _arguments,
)
