"""Writing a snapshot as Examples: train rebalanced and shuffled, eval and test as they are."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from components.dataset.label_map import LabelMap
from components.dataset.media import read_bytes
from components.dataset.schema import SPLITS
from components.dataset.snapshot import OLD, Snapshot
from components.detectors.examples import to_example
from components.errors import DataError
from components.rebalanced_example_gen.rebalance import (
    Rebalancing,
    boxes_by_class,
    copies,
    effective_sample_size,
)

RECORDS_PER_FILE = 1000
SUMMARY = "rebalancing.json"


def write_examples(
    snapshot: Snapshot,
    label_map: LabelMap,
    plan: Rebalancing,
    folder: Path,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Writes `Split-train`, `Split-eval` and `Split-test` below `folder`.

    Returns what rebalancing did: boxes by class before and after, the share of images that
    repeat, and the effective sample size. Raises DataError when an image file has changed since
    the snapshot was taken.
    """
    images = snapshot.images.to_pylist()
    boxes: dict[str, list[dict[str, Any]]] = {image["image_id"]: [] for image in images}
    for box in snapshot.boxes.to_pylist():
        boxes[box["image_id"]].append(box)
    rng = np.random.default_rng(plan.seed)
    summary: dict[str, Any] = {}
    for split in SPLITS:
        members = [image for image in images if image["split"] == split]
        times = np.ones(len(members), np.int64)
        if split == "train":
            shown = [frozenset(b["label"] for b in boxes[i["image_id"]]) for i in members]
            times = copies(shown, [image["tag"] == OLD for image in members], plan)
            summary = _summary(members, boxes, times)
        order = np.repeat(np.arange(len(members)), times)
        if split == "train":
            rng.shuffle(order)
        files = max(1, -(-len(order) // RECORDS_PER_FILE))
        (folder / f"Split-{split}").mkdir(parents=True)
        for number, part in enumerate(np.array_split(order, files)):
            path = folder / f"Split-{split}" / f"data_tfrecord-{number:05d}-of-{files:05d}"
            with tf.io.TFRecordWriter(str(path)) as writer:
                for index in part:
                    image = members[index]
                    encoded = _read_unchanged(image)
                    writer.write(to_example(image, boxes[image["image_id"]], encoded, label_map))
        report(f"{split}: {len(order)} examples from {len(members)} images")
    return summary


def _summary(members: list[Any], boxes: dict[str, list[Any]], times: Any) -> dict[str, Any]:
    labels = [b["label"] for image in members for b in boxes[image["image_id"]]]
    counts = [len(boxes[image["image_id"]]) for image in members]
    return {
        "boxes_before": boxes_by_class(labels, [1] * len(labels)),
        "boxes_after": boxes_by_class(labels, np.repeat(times, counts).tolist()),
        "share_of_images_repeated": float((times > 1).mean()),
        "effective_sample_size": effective_sample_size(times),
    }


def _read_unchanged(image: dict[str, Any]) -> bytes:
    data = read_bytes(image["uri"])
    if hashlib.sha256(data).hexdigest() != image["sha256"]:
        raise DataError(
            f"{image['uri']}: the file has changed since the snapshot was taken; run again."
        )
    return data
