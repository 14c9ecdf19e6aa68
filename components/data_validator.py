"""The TFX shell of `classlift.quality`."""

import json
import shutil
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component

from classlift import own_folders
from classlift.data.kept_copies import KeptCopies
from classlift.data.label_map import LabelMap
from classlift.data.profile import Profile
from classlift.data.snapshot import Snapshot
from classlift.quality.run import run
from classlift.serving.folder import served_provenance
from classlift.settings.targets import targets_of
from components import artifacts


@component  # type: ignore[untyped-decorator]  # TFX has no types
def DataValidator(
    snapshot: InputArtifact[artifacts.Snapshot],
    validation: OutputArtifact[artifacts.ValidationReport],
    label_map: Parameter[str],
    new_classes: Parameter[str],
    target: Parameter[str],
    min_target_boxes: Parameter[int],
    serving_dir: Parameter[str],
    report_dir: Parameter[str],
    kept: Parameter[str],
    code_version: Parameter[str],
) -> None:
    """Stops the run when the snapshot breaks a critical rule.

    The class mix is compared with that of the snapshot that the newest version was made from.

    Args:
        snapshot: to judge.
        validation: the report to write.
        label_map: file of the pre-trained model's.
        new_classes: JSON of the ids of classes that the label map lacks, by name.
        target: JSON of the class to raise, or of a list of them.
        min_target_boxes: how many boxes of each of them each split needs.
        serving_dir: folder of the versions.
        report_dir: folder that keeps the report, for the outputs of a failed node are removed.
        kept: folder that keeps which copies were found, for the next run of the same images.
        code_version: of what the node can read; the cache is keyed by it, and so are copies.

    """
    profile = served_provenance(Path(serving_dir)).profile
    run(
        Snapshot.read(Path(snapshot.uri)),
        LabelMap.read(Path(label_map)).with_classes(json.loads(new_classes)),
        targets_of(json.loads(target)),
        min_target_boxes,
        Profile.from_dict(profile) if profile else None,
        Path(report_dir),
        KeptCopies(Path(kept), code_version),
    )
    ignored = own_folders.ignore_mark
    shutil.copytree(Path(report_dir), validation.uri, dirs_exist_ok=True, ignore=ignored)
