"""The TFX shell of `classlift.examples`."""

import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts

from classlift.data.label_map import LabelMap
from classlift.data.schema import SPLITS
from classlift.examples.run import run
from classlift.settings.rebalancing import Rebalancing
from components import artifacts


@component  # type: ignore[untyped-decorator]  # TFX has no types
def RebalancedExampleGen(
    snapshot: InputArtifact[artifacts.Snapshot],
    validation: InputArtifact[artifacts.ValidationReport],
    examples: OutputArtifact[standard_artifacts.Examples],
    label_map: Parameter[str],
    new_classes: Parameter[str],
    rebalancing: Parameter[str],
    beam_options: Parameter[str],
    code_version: Parameter[str],
) -> None:
    """Writes tf.Examples from a snapshot that passed validation.

    Args:
        snapshot: of the labelled data.
        validation: its report, so that nothing is written before the data are judged.
        examples: to write.
        label_map: file of the pre-trained model's.
        new_classes: JSON of the ids of classes that the label map lacks, by name.
        rebalancing: JSON of `Rebalancing`.
        beam_options: JSON list, as on Beam's command line.
        code_version: of what the node can read; the cache is keyed by it.

    """
    del validation  # an input so that nothing is written before the data are judged
    plan = json.loads(rebalancing)
    run(
        Path(snapshot.uri),
        LabelMap.read(Path(label_map)).with_classes(json.loads(new_classes)),
        Rebalancing(**{**plan, "targets": tuple(plan["targets"])}),
        Path(examples.uri),
        json.loads(beam_options),
    )
    examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
