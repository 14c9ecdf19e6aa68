"""`classlift prune`: what old runs left behind and nothing needs."""

import argparse
from collections.abc import Callable
from dataclasses import replace

from classlift.cli.command import Command
from classlift.errors import EXIT_OK
from pipelines.commands.options import claimed, config_argument


def _arguments(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    for name, least, text in (
        ("runs", 1, "so many of the newest runs"),
        ("days", 0, "all runs that are younger than so many days"),
        ("versions", 2, "so many of the newest served versions"),
    ):
        parser.add_argument(
            f"--{name}",
            type=_at_least(least),
            metavar="N",
            help=f"keep {text}, with all that they need; default: `retention` in the config",
        )
    parser.add_argument(
        "--remove", action="store_true", help="remove it; without, it is only shown"
    )


def _at_least(least: int) -> Callable[[str], int]:
    """Reads a number of an option that must not be smaller."""

    def number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= 36500:
            raise argparse.ArgumentTypeError(f"it must be a number from {least} to 36500")
        return int(text)

    return number


def _run(arguments: argparse.Namespace) -> int:
    from pipelines import prune
    from pipelines.config import load_config

    config = claimed(arguments) if arguments.remove else load_config(arguments.config)
    given = {name: getattr(arguments, name) for name in ("runs", "days", "versions")}
    given = {name: value for name, value in given.items() if value is not None}
    retention = replace(config.retention, **given)
    if arguments.remove:
        with prune.alone_with(config):
            found = prune.plan(config, retention)
            prune.remove(config, found, print)
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
