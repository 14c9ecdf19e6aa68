"""The TFX shell of `classlift.data.snapshot`."""

import json
import logging
from pathlib import Path

from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component

from classlift.data import kept_splits
from classlift.data.snapshot import Labelling, Source, take_snapshot
from classlift.serving.folder import served_entries
from components import artifacts

logger = logging.getLogger(__name__)


@component  # type: ignore[untyped-decorator]  # TFX has no types
def DatasetSnapshot(
    snapshot: OutputArtifact[artifacts.Snapshot],
    sources: Parameter[str],
    root: Parameter[str],
    memory: Parameter[str],
    serving_dir: Parameter[str],
    beam_options: Parameter[str],
    renamed: Parameter[str],
    droppable: Parameter[float],
    classes: Parameter[str],
    new_classes: Parameter[str],
    fingerprint: Parameter[str],
    code_version: Parameter[str],
) -> None:
    """Takes a snapshot of the labelled data.

    Args:
        snapshot: to write.
        sources: JSON list of the config's `data.sources`.
        root: folder that their relative paths are below.
        memory: folder for what the next snapshot needs to know of this one.
        serving_dir: whose versions carry the splits, for a memory that was lost.
        beam_options: JSON list, as on Beam's command line.
        renamed: JSON object of labels and what the boxes are called instead.
        droppable: the share of boxes, 0 to 1, that may be left out because they are bad.
        classes: JSON list of all classes.
        new_classes: JSON of the ids of those that the pre-trained model lacks, by name.
        fingerprint: of the sources; the cache is keyed by it.
        code_version: of what the node can read; the cache is keyed by it.

    """
    taken = take_snapshot(
        [Source.from_dict(record, Path(root)) for record in json.loads(sources)],
        Path(memory),
        json.loads(beam_options),
        served_entries(Path(serving_dir)),
        json.loads(renamed),
        droppable,
        Labelling(tuple(json.loads(classes)), frozenset(json.loads(new_classes))),
    )
    taken.write(Path(snapshot.uri))
    kept_splits.hand_on(Path(memory), Path(snapshot.uri))
    snapshot.set_string_custom_property("content_hash", taken.content_hash)
    logger.info(
        f"{taken.images.num_rows} images, {taken.boxes.num_rows} boxes, "
        f"hash {taken.content_hash[:12]}"
    )
