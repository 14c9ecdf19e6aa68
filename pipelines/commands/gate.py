"""`classlift gate`: a finished run judged again, with other settings, in seconds."""

import argparse
import json
from pathlib import Path

from classlift.cli.command import Command, say
from classlift.errors import EXIT_OK
from pipelines.commands.options import assigned, config_argument, set_argument


def _arguments(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)
    parser.add_argument("--run", help="default: the latest that reached its gate")
    set_argument(parser, "a setting of the gate alone")
    parser.add_argument(
        "--report",
        type=Path,
        default=Path("judged"),
        help="folder for report.html and verdict.json (default: ./judged)",
    )
    parser.add_argument("--json", action="store_true", help="print verdict.json")


def _run(arguments: argparse.Namespace) -> int:
    from classlift.gate.terminal import render_verdict
    from classlift.gate.verdict import REPORT
    from pipelines.config import load_config
    from pipelines.judged_again import judge_again

    config = load_config(arguments.config)
    verdict = judge_again(config, arguments.run, assigned(arguments), arguments.report)
    if arguments.json:
        print(json.dumps(verdict.to_json()))
    else:
        uses = f"Uses of this test set, with this one: {verdict.test_uses}; each is charged."
        say(*render_verdict(verdict), "", uses, f"Report:  {arguments.report / REPORT}")
    return EXIT_OK


COMMAND = Command(
    "Judge a finished run again by other settings of the gate, from the predictions it left: "
    "nothing is trained or pushed.",
    "gate --config configs/digits.yaml --set min_lift=0.02",
    _run,
    _arguments,
)
