"""The TFX shell of the validator."""

import shutil
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component

from classlift import own_folders
from classlift.data.label_map import LabelMap
from classlift.data.profile import Profile
from classlift.data.snapshot import Snapshot
from classlift.progress import say
from classlift.quality.validate import REPORT, require_no_critical, validate
from classlift.serving.folder import served_provenance
from components import artifacts


@component
def DataValidator(
    snapshot: InputArtifact[artifacts.Snapshot],
    validation: OutputArtifact[artifacts.ValidationReport],
    label_map: Parameter[str],
    target: Parameter[str],
    min_target_boxes: Parameter[int],
    serving_dir: Parameter[str],
    report_dir: Parameter[str],
    code_version: Parameter[str],
) -> None:
    """Stops the run with a DataError when the snapshot breaks a critical rule.

    The class mix is compared with that of the snapshot that the newest version in `serving_dir`
    was made from. The outputs of a failed node are removed, so the report is kept in `report_dir`.
    """
    docs = Path(report_dir)
    profile = served_provenance(Path(serving_dir)).profile
    own_folders.clear(docs, own_folders.VALIDATION)
    findings = validate(
        Snapshot.read(Path(snapshot.uri)),
        LabelMap.read(Path(label_map)).names,
        target,
        min_target_boxes,
        docs,
        say,
        Profile.from_dict(profile) if profile else None,
    )
    for finding in findings:
        say(f"{finding.severity}: {finding.sentence()}")
    require_no_critical(findings, docs)
    say(f"no critical finding; the report is {docs / REPORT}")
    shutil.copytree(docs, validation.uri, dirs_exist_ok=True, ignore=own_folders.ignore_mark)
