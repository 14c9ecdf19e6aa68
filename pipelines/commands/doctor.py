"""`classlift doctor`: what this machine is missing."""

import argparse
import importlib.util
import json
import shutil

from classlift.cli.command import Command, json_argument
from classlift.errors import EXIT_OK, EXIT_PERMANENT, ConfigError
from pipelines.commands.options import ROOT


def _arguments(parser: argparse.ArgumentParser) -> None:
    json_argument(parser)


def _run(arguments: argparse.Namespace) -> int:
    specification = importlib.util.spec_from_file_location(
        "install", ROOT / "requirements" / "install.py"
    )
    if specification is None or specification.loader is None:
        raise ConfigError(f"{ROOT / 'requirements' / 'install.py'} is missing.")
    install = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(install)
    checks = {
        f"environment {name}": (
            install.is_current(name),
            "not as its lock says; run `make environments`",
        )
        for name in install.LOCKS
    }
    checks["free disk"] = (
        shutil.disk_usage(ROOT).free / 1e9 > 1,
        "less than 1 GB is free; make room",
    )
    missing = {name: advice for name, (fine, advice) in checks.items() if not fine}
    if arguments.json:
        print(json.dumps({name: fine for name, (fine, _) in checks.items()}))
    else:
        for name in checks:
            print(f"{name}: {missing.get(name, 'fine')}")
    return EXIT_PERMANENT if missing else EXIT_OK


COMMAND = Command("Say what this machine is missing.", "doctor --json", _run, _arguments)
