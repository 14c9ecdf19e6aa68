"""Validation from end to end: a snapshot in, its report out, and no way on for bad data."""

import logging
from collections.abc import Sequence
from pathlib import Path

from classlift import own_folders
from classlift.data.copies import FindCopies
from classlift.data.label_map import LabelMap
from classlift.data.profile import Profile
from classlift.data.snapshot import Snapshot
from classlift.quality.findings import Finding
from classlift.quality.validate import REPORT, require_no_critical, validate

logger = logging.getLogger(__name__)


def run(
    snapshot: Snapshot,
    label_map: LabelMap,
    targets: Sequence[str],
    min_target_boxes: int,
    baseline: Profile | None,
    folder: Path,
    find_copies: FindCopies,
) -> list[Finding]:
    """Validates the data of a pipeline, and says what was found.

    Args:
        snapshot: the labelled data.
        label_map: the classes; boxes of others are findings.
        targets: the classes to raise.
        min_target_boxes: how many boxes each of them needs in each split.
        baseline: of the data that the newest served version was made from.
        folder: of the report; it is made, or emptied where it is ours.
        find_copies: looks for images of train among those of eval and test.

    Returns:
        The broken rules, none of them critical.

    Raises:
        ConfigError: the folder holds what ClassLift did not make.
        DataError: a critical rule is broken; the report stays.

    """
    own_folders.clear(folder, own_folders.VALIDATION)
    findings = validate(
        snapshot,
        label_map.names,
        targets,
        min_target_boxes,
        folder,
        baseline,
        find_copies=find_copies,
    )
    for finding in findings:
        logger.info(f"{finding.severity}: {finding.sentence()}")
    require_no_critical(findings, folder)
    logger.info(f"no critical finding; the report is {folder / REPORT}")
    return findings
