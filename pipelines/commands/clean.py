"""`classlift clean`: what old runs left behind and nothing needs."""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from classlift.cli.command import Command, setting_argument
from classlift.errors import EXIT_OK
from classlift.progress import configure
from classlift.settings.config import Retention
from pipelines.commands.options import claimed, config_argument, loaded

if TYPE_CHECKING:
    from pipelines.old_runs import Plan

OPTIONS = {"keep": "runs", "days": "days", "versions": "versions"}
"""The settings of `Retention`, by the options that set them."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    for option, text in (
        ("keep", "so many of the newest runs"),
        ("days", "all runs that are younger than so many days"),
        ("versions", "so many of the newest served versions"),
    ):
        about = f"keep {text}, with all that they need; default: `retention` in the config"
        setting_argument(parser, Retention, OPTIONS[option], about, option=option)
    parser.add_argument(
        "--yes", action="store_true", help="remove it without a question; needed without a terminal"
    )
    parser.add_argument("--json", action="store_true", help="print what goes and stays as JSON")


def _run(arguments: argparse.Namespace) -> int:
    from pipelines import old_runs

    config = loaded(arguments.config)
    given = {name: getattr(arguments, option) for option, name in OPTIONS.items()}
    given = {name: value for name, value in given.items() if value is not None}
    retention = replace(config.retention, **given)
    found = old_runs.plan(config, retention)
    if not arguments.json:
        print("\n".join(_lines(found)))
    if not found.leftovers or not (arguments.yes or (not arguments.json and _agreed())):
        if arguments.json:
            print(json.dumps({"removed": False, **found.to_json()}))
        elif found.leftovers:
            print("nothing is removed yet: run it again with --yes")
        return EXIT_OK
    config = claimed(arguments)
    configure(sys.stderr if arguments.json else sys.stdout)  # what is removed is the result
    with old_runs.alone_with(config):
        found = old_runs.plan(config, retention)  # a run may have ended since
        old_runs.remove(config, found)
    if arguments.json:
        print(json.dumps({"removed": True, **found.to_json()}))
    else:
        print(f"removed: {old_runs.readable(found.size())}")
    return EXIT_OK


def _agreed() -> bool:
    """Whether somebody at a terminal says yes; False without one."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    return input("remove all of it? [y/N] ").strip().casefold() in ("y", "yes")


def _lines(found: "Plan") -> Iterator[str]:
    """What would go, with its sizes, and what stays, as a table."""
    from pipelines.old_runs import ARTIFACT, RUN, VERSION, readable

    for left in found.leftovers:
        yield f"{readable(left.size):>10}  {left.kind:14}  {left.path}"
    for kind in (ARTIFACT, RUN, VERSION):
        yield f"{readable(found.size(kind)):>10}  would go: {_counted(found.count(kind), kind)}"
    yield f"{readable(found.size()):>10}  would go in all"
    for kind, kept in ((RUN, found.kept_runs), (VERSION, found.kept_versions)):
        names = ", ".join(map(str, kept)) or "none"
        yield f"kept: {_counted(len(kept), kind)} ({names})"


def _counted(count: int, kind: str) -> str:
    return f"{count} {kind}{'' if count == 1 else 's'}"


COMMAND = Command(
    "Show what old runs left behind and nothing needs, and remove it when asked to.",
    "clean --config configs/digits.yaml --keep 5",
    _run,
    _arguments,
)
