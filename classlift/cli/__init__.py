"""The command line: `classlift COMMAND --help` has an example for each command.

A command is a file: its purpose, example, arguments, and what it does. Those of the library lie
here, those that need the pipeline in `pipelines/commands`; a line in `COMMANDS` reaches both.
"""

import argparse
import os
import select
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import cast

from classlift import __version__
from classlift.cli.command import Command
from classlift.environment import PARENT_VARIABLE, UNICODE, restart_with
from classlift.errors import EXIT_CLOSED_PIPE
from classlift.faults import exit_code_of
from classlift.parent import die_with_parent
from classlift.progress import configure, escape_what_is_not_printable
from classlift.text import did_you_mean

COMMANDS = {
    "init": "pipelines.commands.init",
    "run": "pipelines.commands.run",
    "compile": "pipelines.commands.compile",
    "report": "pipelines.commands.report",
    "gate": "pipelines.commands.gate",
    "compare": "pipelines.commands.compare",
    "push": "pipelines.commands.push",
    "versions": "pipelines.commands.versions",
    "rollback": "pipelines.commands.rollback",
    "watch": "pipelines.commands.watch",
    "lineage": "pipelines.commands.lineage",
    "validate": "classlift.cli.validate",
    "diagnose": "classlift.cli.diagnose",
    "calibrate": "classlift.cli.calibrate",
    "convert": "classlift.cli.convert",
    "new-model": "classlift.cli.new_model",
    "clean": "pipelines.commands.clean",
    "data-arrived": "pipelines.commands.data_arrived",
    "settings": "classlift.cli.settings",
    "doctor": "pipelines.commands.doctor",
    "airflow": "pipelines.commands.airflow",
}
"""The module of each command, by name, in the order of `classlift --help`; each has a `COMMAND`."""


def start() -> int:
    """The installed command: `main` in a process that takes all text for Unicode."""
    restart_with(UNICODE)
    return main()


def main() -> int:
    """Runs the command that this process was started with.

    Returns:
        The exit code: 0 done, 78 what a retry can't mend, 1 what it may, 2 wrong arguments, 141
        when nobody reads on.

    Raises:
        BrokenPipeError: another pipe than stdout has no reader.

    """
    try:
        try:
            return _main()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _is_closed():
            raise
        # What Python still holds goes nowhere when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_CLOSED_PIPE


def _is_closed() -> bool:
    """Whether stdout is a pipe whose reader has gone, as in `classlift settings | head -1`."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def _main() -> int:
    escape_what_is_not_printable()
    configure(sys.stderr)
    parser = parser_for(sys.argv[1:2])
    for word in sys.argv[1:2]:
        if word not in COMMANDS and not word.startswith("-"):
            near, known = did_you_mean(word, COMMANDS), ", ".join(COMMANDS)
            parser.error(f"there is no command {word!r:.80}{near}; there are: {known}")
    arguments = parser.parse_args()
    if PARENT_VARIABLE in os.environ:  # started by Airflow, not by a person
        die_with_parent()
    command: Command = arguments.command

    def run() -> int:
        restart_with(command.environment(arguments))
        return command.run(arguments)

    return exit_code_of(run)


def parser_for(words: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser of a command line.

    Args:
        words: those that it begins with. The commands among them get their arguments, and the
            others are left out; without any, all are listed and none has arguments, which takes no
            library.

    Returns:
        A parser that puts the command that is chosen into `command`.

    """
    parser = argparse.ArgumentParser(
        prog="classlift",
        description="Raise the recall of one weak class, and push only on evidence.",
    )
    parser.add_argument("--version", action="version", version=f"classlift {__version__}")
    parsers = parser.add_subparsers(required=True, metavar="COMMAND")
    asked = [name for name in COMMANDS if name in words]
    for name in asked or COMMANDS:
        command = load(name)
        own = parsers.add_parser(
            name,
            help=command.purpose,
            description=command.purpose,
            epilog=f"example: classlift {command.example}",
        )
        if asked:
            own.set_defaults(command=command)
            command.arguments(own)
    return parser


def load(name: str) -> Command:
    """The command of a name, with nothing imported but its file."""
    return cast(Command, import_module(COMMANDS[name]).COMMAND)
