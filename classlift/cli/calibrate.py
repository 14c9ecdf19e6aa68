"""`classlift calibrate`: the score thresholds of any detector, for a precision."""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from classlift.cli.command import Command, require_sound, say, setting_argument
from classlift.environment import quiet_tensorflow
from classlift.errors import EXIT_OK, ConfigError, DataError
from classlift.paths import replacing
from classlift.settings.gate import OPERATING_POINTS, GateSettings

if TYPE_CHECKING:
    from classlift.colour import Line
    from classlift.serving.calibrate import Calibrated


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="a SavedModel, or a folder to train")
    parser.add_argument(
        "--data", type=Path, required=True, help="labels that it was not trained on, in any format"
    )
    about = f"that each class is to have (default: {GateSettings.precision:.2f})"
    setting_argument(parser, GateSettings, "precision", about, GateSettings.precision)
    parser.add_argument(
        "--points",
        choices=OPERATING_POINTS,
        default=GateSettings.operating_points,
        help="measured: with the precision on --data; guaranteed: with 90%% confidence beyond "
        "(default: %(default)s)",
    )
    parser.add_argument("--label-map", type=Path, help="of a model that has none")
    parser.add_argument("--force", action="store_true", help="replace thresholds that are there")
    parser.add_argument("--json", action="store_true", help="print the table as JSON")


def _environment(arguments: argparse.Namespace) -> Mapping[str, str]:
    from classlift.detectors.backends import ENVIRONMENTS, backend_of

    return ENVIRONMENTS[backend_of(arguments.model) or "od_api"]


def _run(arguments: argparse.Namespace) -> int:
    quiet_tensorflow()
    from classlift.data.snapshot import Source, take_snapshot
    from classlift.serving.calibrate import calibrate, file_of

    file = file_of(arguments.model.resolve())
    if file.exists() and not arguments.force:  # before the work, not after
        raise ConfigError(f"{file}: the model has score thresholds; --force replaces them.")
    snapshot = take_snapshot([Source(arguments.data.resolve(), "eval")])
    require_sound(snapshot)
    found = calibrate(
        arguments.model.resolve(),
        snapshot,
        GateSettings(precision=arguments.precision, operating_points=arguments.points),
        arguments.label_map.resolve() if arguments.label_map else None,
    )
    if all(row.hole for row in found):
        raise DataError(
            f"{arguments.data}: no class has a precision of {arguments.precision:g} at any score "
            "threshold, so nothing was written: give more labels, or ask for less."
        )
    file.parent.mkdir(exist_ok=True)
    with replacing(file) as draft:
        draft.write_text(json.dumps({row.label: row.threshold for row in found}, indent=1))
    if arguments.json:
        print(json.dumps([_record(row) for row in found]))
        return EXIT_OK
    say(*_lines(found), "", f"written: {file}")
    return EXIT_OK


def _record(row: "Calibrated") -> dict[str, object]:
    """A row as JSON, which knows no NaN."""
    return {n: None if isinstance(v, float) and math.isnan(v) else v for n, v in vars(row).items()}


def _lines(found: Sequence["Calibrated"]) -> list["Line"]:
    from classlift.colour import PLAIN, YELLOW
    from classlift.gate.terminal import table
    from classlift.text import shown

    rows: list[tuple[str, ...]] = [("class", "objects", "threshold", "precision", "recall", "")]
    for row in found:
        shares = ("-" if math.isnan(v) else f"{v:.3f}" for v in (row.precision, row.recall))
        note = f"{row.hole}: stays" if row.hole else ""
        rows.append((shown(row.label), str(row.objects), f"{row.threshold:.3f}", *shares, note))
    return table(rows, [YELLOW if row.hole else PLAIN for row in found])


COMMAND = Command(
    "Write the score threshold of each class at which a detector has a precision.",
    "calibrate models/ssd --data /data/streets/eval --precision 0.8",
    _run,
    _arguments,
    _environment,
)
