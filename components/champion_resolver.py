"""The TFX shell of champion resolution."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from classlift.progress import say
from classlift.serving.champion import resolve_champion
from components import artifacts


@component
def ChampionResolver(
    snapshot: InputArtifact[artifacts.Snapshot],
    champion: OutputArtifact[standard_artifacts.Model],
    serving_dir: Parameter[str],
    pretrained: Parameter[str],
    pretrained_hash: Parameter[str],
    backend: Parameter[str],
    question: Parameter[str],
    code_version: Parameter[str],
) -> None:
    """Resolves the champion once for each question.

    The cache is keyed by the snapshot and by `question`, all that the user asked of the run.
    While neither changes, the champion stays the one that the question was first put to, so the
    same answer comes from the cache instead of a model being trained against itself.
    """
    del snapshot, pretrained_hash, question, code_version
    name = resolve_champion(
        Path(serving_dir),
        Path(pretrained),
        backend,
        Path(path_utils.serving_model_dir(champion.uri)),
        say,
    )
    champion.set_string_custom_property("champion", name)
