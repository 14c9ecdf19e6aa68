"""The TFX shell of champion resolution."""

import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from classlift.errors import UnavailableError
from classlift.serving.champion import resolve_champion
from classlift.serving.folder import champion_key


@component  # type: ignore[untyped-decorator]  # TFX has no types
def ChampionResolver(
    champion: OutputArtifact[standard_artifacts.Model],
    serving_dir: Parameter[str],
    pretrained: Parameter[str],
    pretrained_hash: Parameter[str],
    backend: Parameter[str],
    new_classes: Parameter[str],
    served: Parameter[str],
    code_version: Parameter[str],
) -> None:
    """Resolves the champion, which new labels leave as it is.

    Args:
        champion: the model to write.
        serving_dir: folder of the versions.
        pretrained: folder of the pre-trained model.
        pretrained_hash: of its files; the cache is keyed by it.
        backend: of the pre-trained model.
        new_classes: JSON of the ids of classes that the pre-trained model lacks, by name.
        served: `champion_key` of what is served as the node starts; the cache is keyed by it.
        code_version: of what the node can read; the cache is keyed by it.

    Raises:
        UnavailableError: another version came to be served since.
        ModelError: as `resolve_champion`.

    """
    del pretrained_hash, code_version
    if champion_key(Path(serving_dir), Path(pretrained)) != served:
        raise UnavailableError(
            "Another version came to be served while this node started; try again."
        )
    name = resolve_champion(
        Path(serving_dir),
        Path(pretrained),
        backend,
        json.loads(new_classes),
        Path(path_utils.serving_model_dir(champion.uri)),
    )
    champion.set_string_custom_property("champion", name)
