"""The TFX shell of the serving check."""

from itertools import islice
from pathlib import Path

import pyarrow.compute as pc
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from classlift.data.media import read_bytes
from classlift.data.snapshot import Snapshot
from classlift.progress import say
from classlift.serving.check import check_export
from classlift.serving.manifest import EXPORT_PROPERTY, Manifest
from components import artifacts

REQUESTS = 8


@component
def ServingCheck(
    model: InputArtifact[standard_artifacts.Model],
    snapshot: InputArtifact[artifacts.Snapshot],
    blessing: OutputArtifact[standard_artifacts.InfraBlessing],
    code_version: Parameter[str],
) -> None:
    """Replays eval images against the export in a clean process; blesses what answers rightly."""
    images = Snapshot.read(Path(snapshot.uri)).images
    uris = images.filter(pc.equal(images["split"], "eval"))["uri"].to_pylist()
    say(f"asking the export about {min(REQUESTS, len(uris))} images, together and one by one")
    requests = [read_bytes(uri) for uri in islice(uris, REQUESTS)]
    export = Path(path_utils.serving_model_path(model.uri))
    digest = Manifest.of(export).digest()
    answers = check_export(export, requests)
    Path(blessing.uri).mkdir(parents=True, exist_ok=True)
    Path(blessing.uri, "INFRA_BLESSED").touch()
    blessing.set_int_custom_property("blessed", 1)
    blessing.set_string_custom_property(EXPORT_PROPERTY, digest)
    say(f"it answers; {answers['milliseconds']:.0f} ms for one image")
