"""The TFX shell of `classlift.serving.check`."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from classlift.data.snapshot import Snapshot
from classlift.serving.check import run
from classlift.serving.manifest import EXPORT_PROPERTY
from components import artifacts


@component  # type: ignore[untyped-decorator]  # TFX has no types
def ServingCheck(
    model: InputArtifact[standard_artifacts.Model],
    snapshot: InputArtifact[artifacts.Snapshot],
    blessing: OutputArtifact[standard_artifacts.InfraBlessing],
    code_version: Parameter[str],
) -> None:
    """Replays eval images against the export in a clean process; blesses what answers rightly."""
    digest = run(
        Path(path_utils.serving_model_path(model.uri)), Snapshot.read(Path(snapshot.uri)).images
    )
    Path(blessing.uri).mkdir(parents=True, exist_ok=True)
    Path(blessing.uri, "INFRA_BLESSED").touch()
    blessing.set_int_custom_property("blessed", 1)
    blessing.set_string_custom_property(EXPORT_PROPERTY, digest)
