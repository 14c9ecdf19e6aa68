"""`classlift validate`: labels and images checked without a pipeline, and repaired if asked to."""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from classlift import own_folders
from classlift.cli.command import Command, read_labels, say, source_arguments
from classlift.colour import PLAIN, RED, YELLOW, Line
from classlift.environment import quiet_tensorflow
from classlift.errors import EXIT_OK, EXIT_PERMANENT
from classlift.progress import without_stderr

if TYPE_CHECKING:
    from classlift.data.snapshot import Snapshot
    from classlift.quality.suspicions import Suspicion

logger = logging.getLogger(__name__)

STYLES = {"critical": RED, "warning": YELLOW}
"""Of findings, by their severity."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    source_arguments(parser)
    parser.add_argument(
        "--model",
        type=Path,
        help="a version that ClassLift served; lists the labels that it doubts, to look at again, "
        "also as tasks for CVAT, Label Studio and FiftyOne",
    )
    parser.add_argument(
        "--fix", type=Path, metavar="NEW", help="write a repaired copy (COCO JSON) to a new folder"
    )
    parser.add_argument(
        "--report",
        type=Path,
        default=Path("validation"),
        help="folder for report.html, findings.json and Data Docs (default: ./validation)",
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def _run(arguments: argparse.Namespace) -> int:
    from classlift.data.writers import require_new
    from classlift.quality.validate import REPORT, validate

    own_folders.require_own(arguments.report, own_folders.VALIDATION)  # before the work, not after
    if arguments.fix:
        require_new(arguments.fix)
    snapshot, labels = read_labels(arguments)
    suspicions = _suspicions(arguments.model, snapshot) if arguments.model else []
    own_folders.make(arguments.report, own_folders.VALIDATION)
    findings = validate(
        snapshot,
        labels,
        (),
        0,
        arguments.report,
        suspicions=suspicions,
        where=str(arguments.path.resolve()),
    )
    critical = sum(finding.severity == "critical" for finding in findings)
    warnings = sum(finding.severity == "warning" for finding in findings)
    if arguments.json:
        print(json.dumps([vars(finding) for finding in findings]))
    else:
        for finding in findings:
            line = f"{finding.severity}: {finding.sentence()}"
            say(Line(line, STYLES.get(finding.severity, PLAIN)))
        print(
            f"{snapshot.images.num_rows} images, {snapshot.boxes.num_rows} boxes, "
            f"{critical} critical finding{'' if critical == 1 else 's'}, "
            f"{warnings} warning{'' if warnings == 1 else 's'}"
            + (f", {len(suspicions)} labels to look at again" if arguments.model else "")
            + f"; report: {arguments.report / REPORT}"
        )
    if arguments.fix:
        return _fix(snapshot, labels, arguments.fix, arguments.report)
    return EXIT_PERMANENT if critical else EXIT_OK


def _fix(snapshot: "Snapshot", labels: Sequence[str], folder: Path, report: Path) -> int:
    """Writes the repaired copy and judges it; its exit code is the command's."""
    from classlift.data.snapshot import Source, take_snapshot
    from classlift.quality.repair import CHANGES, repair
    from classlift.quality.validate import validate

    changes = repair(snapshot, labels, folder.resolve())
    repaired = take_snapshot([Source(folder.resolve())])
    own_folders.make(report / "repaired", own_folders.VALIDATION)
    judged = report / "repaired"
    findings = validate(repaired, labels, (), 0, judged, where=str(folder))
    critical = [finding for finding in findings if finding.severity == "critical"]
    for finding in critical:
        logger.info(f"still critical: {finding.sentence()}")
    print(
        f"repaired copy: {folder}, {len(changes)} changes listed in "
        f"{folder / CHANGES}, {len(critical)} critical findings left",
        file=sys.stderr,
    )
    return EXIT_PERMANENT if critical else EXIT_OK


def _suspicions(saved_model: Path, snapshot: "Snapshot") -> list["Suspicion"]:
    """The labels that a served model doubts, the most doubtful first."""
    quiet_tensorflow()
    import pyarrow.compute as pc

    from classlift.quality.suspicions import suspicions
    from classlift.serving.bundle import Bundle

    with without_stderr():  # what TensorFlow says before its log level counts
        from classlift.detectors.predict import load_signature, predict_images

    logger.info("predicting all images with the model")
    bundle = Bundle(saved_model)
    readable = snapshot.images.filter(pc.not_equal(snapshot.images["phash"], ""))
    found = predict_images(load_signature(saved_model), readable, bundle.label_map())
    return suspicions(snapshot.boxes, found)


COMMAND = Command(
    "Check labels and images without a pipeline; exit code 78 on critical findings.",
    "validate /data/streets --label-map models/ssd/label_map.pbtxt",
    _run,
    _arguments,
)
