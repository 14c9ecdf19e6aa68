"""The command line: `classlift COMMAND --help` has an example for each command."""

import argparse
import datetime
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.dataset.formats import FORMATS
from components.dataset.label_map import LabelMap
from components.errors import EXIT_OK, EXIT_PERMANENT, ClassLiftError, ConfigError
from pipelines import airflow
from pipelines.compile import compile_config
from pipelines.config import load_config
from pipelines.local_runner import run_pipeline
from pipelines.run_node import VERBOSE_VARIABLE

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Runs one command; returns its exit code."""
    arguments = _parser().parse_args()
    if getattr(arguments, "verbose", False):
        os.environ[VERBOSE_VARIABLE] = "1"
    try:
        return int(arguments.command(arguments))
    except ClassLiftError as error:
        print(f"classlift: {error}", file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="classlift",
        description="Raise the recall of one weak class, and push only on evidence.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, function: Callable[[argparse.Namespace], int], purpose: str, example: str
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name, help=purpose, description=purpose, epilog=f"example: classlift {example}"
        )
        sub.set_defaults(command=function)
        return sub

    run = command(
        "run",
        _run,
        "Run the whole pipeline of a config on this machine, without Airflow.",
        "run --config configs/digits.yaml --set target=8 --set steps=400",
    )
    _config_option(run)
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of this run; numbers and null are read as JSON",
    )
    run.add_argument("--verbose", action="store_true", help="show all logs of TensorFlow and TFX")
    run.add_argument("--json", action="store_true", help="print the verdict as JSON at the end")

    _config_option(
        command(
            "compile",
            _compile,
            "Compile a config to TFX's IR and the topology that the DAG reads.",
            "compile --config configs/digits.yaml",
        )
    )
    report = command(
        "report",
        _report,
        "Show the latest verdict of a config and where its report lies.",
        "report --config configs/digits.yaml --json",
    )
    _config_option(report)
    report.add_argument("--json", action="store_true", help="print verdict.json")
    validate = command(
        "validate",
        _validate,
        "Check labels and images without a pipeline; exit code 78 on critical findings.",
        "validate /data/streets --label-map models/ssd/label_map.pbtxt",
    )
    validate.add_argument("path", type=Path, help="COCO .json, VOC or YOLO folder, or .record")
    validate.add_argument("--format", choices=list(FORMATS), help="when the path does not tell")
    validate.add_argument("--label-map", type=Path, help="default: every class that is labelled")
    validate.add_argument(
        "--report",
        type=Path,
        default=Path("validation"),
        help="folder to write findings.json and Data Docs to (default: ./validation)",
    )
    validate.add_argument("--json", action="store_true", help="print the findings as JSON")
    doctor = command("doctor", _doctor, "Say what this machine is missing.", "doctor --json")
    doctor.add_argument("--json", action="store_true", help="for a machine to read")
    command(
        "airflow",
        _airflow,
        "Compile configs/*.yaml and serve the Airflow UI at http://localhost:8080.",
        "airflow",
    )
    return parser


def _config_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="e.g. configs/digits.yaml")


def _run(arguments: argparse.Namespace) -> int:
    parameters = dict(_assignment(text) for text in arguments.set)
    config = load_config(arguments.config)
    out = sys.stderr if arguments.json else sys.stdout
    print("compiling the pipeline", file=out, flush=True)
    compiled = compile_config(config)
    run_id = datetime.datetime.now(datetime.UTC).strftime("local__%Y%m%dT%H%M%S%f")
    code = run_pipeline(
        compiled,
        run_id,
        parameters,
        show=lambda line: print(line, file=out, flush=True),
        verbose=arguments.verbose,
    )
    if code != EXIT_OK:
        return code
    from pipelines.summary import render, render_times, summarise

    summary = summarise(config.work, config.name, run_id)
    if arguments.json:
        print(json.dumps(summary.verdict))
    else:
        print(f"\n{render_times(summary)}\n\n{render(summary)}")
    return EXIT_OK


def _assignment(text: str) -> tuple[str, Any]:
    """`name=value`; a value that is not a JSON number or null is a string."""
    name, separator, value = text.partition("=")
    if not separator:
        raise ConfigError(f"--set {text[:80]!r} must be NAME=VALUE.")
    try:
        parsed = json.loads(value)
    except ValueError:
        return name, value
    # The classes of some models are called 8: a name stays a string.
    return name, value if name == "target" or not _is_plain(parsed) else parsed


def _is_plain(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _compile(arguments: argparse.Namespace) -> int:
    print(compile_config(load_config(arguments.config)))
    return EXIT_OK


def _report(arguments: argparse.Namespace) -> int:
    config = load_config(arguments.config)
    path = config.work / "verdict.json"
    if not path.exists():
        raise ConfigError(f"{path}: there is no verdict yet; run the pipeline first.")
    verdict = json.loads(path.read_text())
    if arguments.json:
        print(json.dumps(verdict))
    else:
        print(f"Verdict on class {verdict['target']}: {verdict['verdict']}")
        for reason in verdict["reasons"]:
            print(f"  {reason}")
        print(f"Report: {config.work / 'report.html'}")
    return EXIT_OK


def _validate(arguments: argparse.Namespace) -> int:
    from components.data_validator.validate import validate
    from components.dataset.snapshot import Source, take_snapshot

    def report(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    source = Source(arguments.path.resolve(), format=arguments.format)
    snapshot = take_snapshot([source], report)
    labelled = sorted(set(snapshot.boxes["label"].to_pylist()))
    labels = LabelMap.read(arguments.label_map).names if arguments.label_map else labelled
    findings = validate(snapshot, labels, None, 0, arguments.report, report)
    critical = sum(finding.severity == "critical" for finding in findings)
    if arguments.json:
        print(json.dumps([vars(finding) for finding in findings]))
    else:
        for finding in findings:
            print(f"{finding.severity}: {finding.sentence()}")
        print(
            f"{snapshot.images.num_rows} images, {snapshot.boxes.num_rows} boxes, "
            f"{critical} critical findings, {len(findings) - critical} warnings; "
            f"report: {arguments.report / 'index.html'}"
        )
    return EXIT_PERMANENT if critical else EXIT_OK


def _doctor(arguments: argparse.Namespace) -> int:
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


def _airflow(_: argparse.Namespace) -> int:
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        print(f"compiling {path.relative_to(ROOT)}", flush=True)
        compile_config(load_config(path))
    home = ROOT / "build" / "airflow"
    airflow.migrate(home)
    print("starting Airflow; the UI will be at http://localhost:8080, Ctrl-C stops it", flush=True)
    with subprocess.Popen(
        [airflow.BIN / "airflow", "standalone"],
        env=airflow.airflow_environment(home),
        start_new_session=True,
    ) as process:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            return process.wait()
        except KeyboardInterrupt:
            return EXIT_OK
        finally:  # its scheduler, server and workers are children of the session
            os.killpg(process.pid, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
