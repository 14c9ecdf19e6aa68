"""The TFX shell of rebalancing."""

import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts

from classlift.data import kept_splits
from classlift.data.label_map import LabelMap
from classlift.data.profile import Profile
from classlift.data.schema import SPLITS
from classlift.data.snapshot import Snapshot
from classlift.examples.rebalance import Rebalancing
from classlift.examples.write import DATA, SUMMARY, write_examples
from classlift.progress import say
from components import artifacts


@component
def RebalancedExampleGen(
    snapshot: InputArtifact[artifacts.Snapshot],
    validation: InputArtifact[artifacts.ValidationReport],
    examples: OutputArtifact[standard_artifacts.Examples],
    label_map: Parameter[str],
    rebalancing: Parameter[str],
    beam_options: Parameter[str],
    code_version: Parameter[str],
) -> None:
    """Writes tf.Examples from a snapshot that passed validation.

    rebalancing: JSON of `Rebalancing`; beam_options: JSON list.
    """
    del validation  # an input so that nothing is written before the data are judged
    folder = Path(examples.uri)
    taken = Snapshot.read(Path(snapshot.uri))
    plan = Rebalancing(**json.loads(rebalancing))
    summary = write_examples(
        taken,
        LabelMap.read(Path(label_map)),
        plan,
        folder,
        say,
        json.loads(beam_options),
    )
    summary[DATA] = {  # a served model carries it
        "profile": vars(Profile.of(taken.images, taken.boxes)),
        "snapshot": taken.facts(),
        "rebalancing": vars(plan),
        "trained_on": summary["boxes_before"],
    }
    kept_splits.hand_on(Path(snapshot.uri), folder)  # a served model carries them too
    (folder / SUMMARY).write_text(json.dumps(summary, indent=1))
    examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
    before, after = summary["boxes_before"], summary["boxes_after"]
    say(
        "boxes in train, before and after: "
        + ", ".join(f"{c} {before[c]} -> {after[c]}" for c in after)
    )
    say(
        f"{summary['share_of_images_repeated']:.0%} of the images repeat; effective sample size "
        f"{summary['effective_sample_size']:.0f}"
        + (f"; {summary['pasted']} objects pasted" if summary["pasted"] else "")
    )
