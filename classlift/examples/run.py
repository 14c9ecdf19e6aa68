"""Examples from end to end: a snapshot in, records and `rebalancing.json` out."""

import logging
from collections.abc import Sequence
from pathlib import Path

from classlift.data import kept_splits
from classlift.data.label_map import LabelMap
from classlift.data.snapshot import Snapshot
from classlift.data.units import find_units, write_units
from classlift.examples.rebalanced import Rebalanced
from classlift.examples.write import write_examples
from classlift.settings.rebalancing import Rebalancing

logger = logging.getLogger(__name__)


def run(
    snapshot: Path,
    label_map: LabelMap,
    plan: Rebalancing,
    folder: Path,
    beam_options: Sequence[str],
) -> Rebalanced:
    """Writes the Examples of a snapshot, with what a model trained on them carries along.

    Args:
        snapshot: the folder of a snapshot that passed validation.
        label_map: the ids that the records give to classes.
        plan: how the train split is rebalanced.
        folder: of the Examples.
        beam_options: Beam's, as on its command line.

    Returns:
        What rebalancing did, which is also written.

    Raises:
        DataError: the snapshot or an image is damaged, or the plan can't be kept with these data.

    """
    data = Snapshot.read(snapshot)
    rebalanced = write_examples(data, label_map, plan, folder, beam_options)
    kept_splits.hand_on(snapshot, folder)
    write_units(find_units(data.images), folder)
    rebalanced.write(folder)
    for sentence in rebalanced.sentences():
        logger.info(sentence)
    return rebalanced
