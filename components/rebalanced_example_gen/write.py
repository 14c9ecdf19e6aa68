"""Writing a snapshot as Examples: train rebalanced and shuffled, eval and test as they are."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.dataset.examples import to_example
from components.dataset.label_map import LabelMap
from components.dataset.media import read_bytes
from components.dataset.paths import replacing
from components.dataset.schema import SPLITS
from components.dataset.snapshot import OLD, Snapshot
from components.dataset.tfrecord import write_record
from components.errors import DataError
from components.rebalanced_example_gen.copy_paste import Paste, find_donors, paste, plan_pastes
from components.rebalanced_example_gen.rebalance import (
    Rebalancing,
    class_factors,
    copies,
    effective_sample_size,
)
from components.transforms import LOCAL_OPTIONS, map_shards

RECORDS_PER_FILE = 1000
SUMMARY = "rebalancing.json"

_READ_AT_ONCE = 32  # bounds the memory of a worker, whatever the size of the images
_THREADS = min(4, os.cpu_count() or 1)
_IMAGE_COLUMNS = ["image_id", "uri", "sha256", "width", "height", "format"]
_BOX_COLUMNS = ["label", "xmin", "ymin", "xmax", "ymax", "is_crowd", "difficult"]

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RecordFile:
    """One file of records to write: a shard of the work.

    images: its records in their order; boxes: of each in turn, `counts` of them.
    pasted: what copy-paste does to some records, by their number, and their boxes after it.
    """

    path: str
    images: pa.Table
    boxes: pa.Table
    counts: Indices
    label_map: LabelMap
    pasted: Mapping[int, tuple[list[Paste], list[dict[str, Any]]]] = field(default_factory=dict)


class _Members:
    """The images of a snapshot with their boxes, by number."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.images = snapshot.images
        number = {image_id: i for i, image_id in enumerate(self.images["image_id"].to_pylist())}
        owners = np.array([number[i] for i in snapshot.boxes["image_id"].to_pylist()], np.int64)
        order = np.argsort(owners, kind="stable")
        boxes = snapshot.boxes.select(_BOX_COLUMNS).take(order)
        self.boxes = boxes.set_column(0, "label", boxes["label"].cast(pa.string()))
        self.starts = np.searchsorted(owners[order], np.arange(len(number) + 1))

    def counts(self, images: Indices) -> Indices:
        """How many boxes each image has."""
        return np.asarray(self.starts[images + 1] - self.starts[images], np.int64)

    def box_rows(self, images: Indices) -> Indices:
        """The rows of `boxes` of each image in turn."""
        ranges = [np.arange(self.starts[i], self.starts[i + 1]) for i in images]
        return np.concatenate([np.empty(0, np.int64), *ranges])

    def labels(self, images: Indices) -> list[frozenset[str]]:
        """The classes that each image shows."""
        labels = self.boxes["label"].to_pylist()
        return [frozenset(labels[self.starts[i] : self.starts[i + 1]]) for i in images]


def write_examples(
    snapshot: Snapshot,
    label_map: LabelMap,
    plan: Rebalancing,
    folder: Path,
    report: Callable[[str], None] = print,
    beam_options: Sequence[str] = LOCAL_OPTIONS,
) -> dict[str, Any]:
    """Writes `Split-train`, `Split-eval` and `Split-test` below `folder`.

    Returns what rebalancing did: boxes by class before and after, the factor of each class, the
    share of images that repeat, the effective sample size, and how many objects were pasted.
    Raises DataError when an image file has changed since the snapshot was taken.
    """
    members = _Members(snapshot)
    tags, splits = (snapshot.images[name].to_pylist() for name in ("tag", "split"))
    files: list[RecordFile] = []
    summary: dict[str, Any] = {}
    for split in SPLITS:
        images = np.array([i for i, found in enumerate(splits) if found == split], np.int64)
        order = images
        if split == "train":
            shown = members.labels(images)
            times = copies(shown, [tags[i] == OLD for i in images], plan)
            order = np.repeat(images, times)
            np.random.default_rng(plan.seed).shuffle(order)
            summary = {
                "method": plan.method,
                "factors": class_factors(shown, plan),
                "share_of_images_repeated": float((times > 1).mean()) if len(times) else 0.0,
                "effective_sample_size": effective_sample_size(times),
            }
        (folder / f"Split-{split}").mkdir(parents=True)
        written = list(_files(members, order, split, label_map))
        if split == "train":
            before = _boxes_by_class([members.boxes.take(members.box_rows(images))["label"]])
            if plan.copy_paste:
                written = _with_pastes(written, members, images, plan)
            after = _boxes_by_class([label for file in written for label in _labels_of(file)])
            summary |= {
                "boxes_before": before,
                "boxes_after": {label: after.get(label, 0) for label in before},
                "pasted": sum(len(p) for file in written for p, _ in file.pasted.values()),
            }
        files += written
        report(f"{split}: {len(order)} examples from {len(images)} images")
    map_shards(write_file, files, folder, beam_options, report)
    return summary


def _files(
    members: _Members, order: Indices, split: str, label_map: LabelMap
) -> Iterator[RecordFile]:
    count = max(1, -(-len(order) // RECORDS_PER_FILE))
    for number, part in enumerate(np.array_split(order, count)):
        yield RecordFile(
            f"Split-{split}/data_tfrecord-{number:05d}-of-{count:05d}",
            members.images.select(_IMAGE_COLUMNS).take(part),
            members.boxes.take(members.box_rows(part)),
            members.counts(part),
            label_map,
        )


def _with_pastes(
    files: list[RecordFile], members: _Members, images: Indices, plan: Rebalancing
) -> list[RecordFile]:
    """The files with copy-paste planned; raises DataError when there is nothing to copy."""
    rows = members.images.select(_IMAGE_COLUMNS).take(images).to_pylist()
    boxes = members.boxes.take(members.box_rows(images)).to_pylist()
    ends = np.cumsum(members.counts(images))
    by_image = {
        row["image_id"]: boxes[end - count : end]
        for row, end, count in zip(rows, ends, members.counts(images), strict=True)
    }
    donors = find_donors(rows, by_image, plan.target or "")
    if not donors:
        raise DataError(
            f"copy_paste: the train split has no object of class {plan.target!r} that stands "
            "clear of others and can be copied; set copy_paste to 0."
        )
    rng = np.random.default_rng([plan.seed, 1])
    result = []
    for file in files:
        pasted = {}
        for number, row in enumerate(file.images.to_pylist()):
            if rng.random() < plan.copy_paste:
                pasted[number] = plan_pastes(row, by_image[row["image_id"]], donors, rng)
        result.append(
            RecordFile(file.path, file.images, file.boxes, file.counts, file.label_map, pasted)
        )
    return result


def _labels_of(file: RecordFile) -> Iterator[Any]:
    """The labels of the boxes of a file, record by record where something is pasted."""
    if not file.pasted:
        yield file.boxes["label"]
        return
    labels, ends = file.boxes["label"].to_pylist(), np.cumsum(file.counts)
    for number, (end, count) in enumerate(zip(ends, file.counts, strict=True)):
        if number in file.pasted:
            yield pa.array([box["label"] for box in file.pasted[number][1]], pa.string())
        else:
            yield pa.array(labels[end - count : end], pa.string())


def _boxes_by_class(columns: Sequence[Any]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for column in columns:
        for found in column.value_counts().to_pylist():
            counts[found["values"]] = counts.get(found["values"], 0) + found["counts"]
    return dict(sorted(counts.items()))


def write_file(file: RecordFile, folder: Path) -> None:
    """Writes one file of records, or nothing.

    Raises DataError when an image file has changed since the snapshot was taken.
    """
    boxes, ends = file.boxes.to_pylist(), np.cumsum(file.counts)
    images = file.images.to_pylist()
    with (
        replacing(folder / file.path) as draft,
        draft.open("wb") as out,
        ThreadPoolExecutor(_THREADS) as pool,
    ):
        for start in range(0, len(images), _READ_AT_ONCE):
            part = images[start : start + _READ_AT_ONCE]
            data = pool.map(lambda row: _read_unchanged(row["uri"], row["sha256"]), part)
            for number, (image, encoded) in enumerate(zip(part, data, strict=True), start=start):
                found = boxes[ends[number] - file.counts[number] : ends[number]]
                if number in file.pasted:
                    image, found, encoded = _paste(image, encoded, *file.pasted[number])
                write_record(out, to_example(image, found, encoded, file.label_map))


def _paste(
    image: dict[str, Any], encoded: bytes, pastes: list[Paste], boxes: list[dict[str, Any]]
) -> tuple[dict[str, Any], list[dict[str, Any]], bytes]:
    donors = [(item, _read_unchanged(item.donor.uri, item.donor.sha256)) for item in pastes]
    encoded = paste(encoded, image["format"], donors)
    return {**image, "sha256": hashlib.sha256(encoded).hexdigest()}, boxes, encoded


def _read_unchanged(uri: str, sha256: str) -> bytes:
    data = read_bytes(uri)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DataError(f"{uri}: the file has changed since the snapshot was taken; run again.")
    return data
