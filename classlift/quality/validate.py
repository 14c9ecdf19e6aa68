"""Validation of a snapshot, and its report. The rules are in `rules`, and as functions in `checks`.

The tables are checked with Great Expectations.
"""

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from classlift.data.copies import FindCopies, find_copies
from classlift.data.profile import Profile
from classlift.data.snapshot import Snapshot
from classlift.errors import DataError
from classlift.quality.checks import CHECKS
from classlift.quality.expectations import Checked, check
from classlift.quality.findings import CRITICAL, SEVERITIES, Finding, write_findings
from classlift.quality.relabel import FOLDER as TASKS
from classlift.quality.relabel import write_tasks
from classlift.quality.report import write_report
from classlift.quality.rules import Asked, box_rules, image_rules
from classlift.quality.suspicions import Suspicion
from classlift.quality.tables import Tables

logger = logging.getLogger(__name__)

REPORT, DOCS, RELABEL = "report.html", "data_docs", "relabel.json"


def validate(
    snapshot: Snapshot,
    labels: Sequence[str],
    targets: Sequence[str],
    min_target_boxes: int,
    folder: Path,
    baseline: Profile | None = None,
    suspicions: Sequence[Suspicion] = (),
    where: str = "",
    find_copies: FindCopies = find_copies,
) -> list[Finding]:
    """Checks a snapshot; writes `report.html`, `findings.json` and Data Docs below `folder`, and
    the labels that a model doubts as `relabel.json` and as tasks of labelling tools.

    Args:
        snapshot: the labelled data.
        labels: the label map's names; boxes of other classes are findings.
        targets: the classes to raise; none for data that are no training set yet, which then need
            not have something in each split.
        min_target_boxes: how many boxes each target needs in each split.
        folder: to write to; made where it is not there.
        baseline: of the last blessed snapshot; the class mix and the box sizes are compared with
            it.
        suspicions: labels that a model doubts, for the report.
        where: the path of the labels, for the report; the folders of the images by default.
        find_copies: looks for images of train among those of eval and test.

    Returns:
        The broken rules, critical ones first.

    """
    tables = Tables.of(snapshot, labels)
    asked = Asked(labels, targets, min_target_boxes, baseline, find_copies)
    logger.info("looking for images of train among those of eval and test")
    findings = [finding for find in CHECKS for finding in find(snapshot, tables, asked)]
    misspelt = bool((tables.boxes["meant"] != "").any())
    logger.info("loading Great Expectations")
    findings += check(
        [
            Checked(
                "boxes", tables.boxes, box_rules(asked, misspelt), ("source", "image_id", "box_id")
            ),
            Checked("images", tables.images, image_rules(asked), ("uri", "image_id", "twin")),
        ],
        folder / DOCS,
    )
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    folder.mkdir(parents=True, exist_ok=True)
    write_findings(folder, findings)
    (folder / RELABEL).write_text(json.dumps([asdict(s) for s in suspicions], indent=1))
    uris = dict(zip(tables.images["image_id"], tables.images["uri"], strict=True))
    shutil.rmtree(folder / TASKS, ignore_errors=True)
    write_tasks(folder / TASKS, suspicions, snapshot.boxes, uris, labels)
    docs = f"{DOCS}/index.html"
    frames = tables.boxes, tables.images
    write_report(folder / REPORT, *frames, labels, findings, suspicions, docs, where)
    return findings


def require_no_critical(findings: Sequence[Finding], folder: Path) -> None:
    """Raises DataError with one sentence on the first critical finding."""
    critical = [finding for finding in findings if finding.severity == CRITICAL]
    if critical:
        more = len(critical) - 1
        others = f" {more} more rule{'s are' if more > 1 else ' is'} broken." if more else ""
        raise DataError(
            f"The data break a rule: {critical[0].sentence()}.{others} "
            f"All findings: {folder / REPORT}"
        )
