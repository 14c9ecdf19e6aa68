"""Writing a snapshot as Examples: train rebalanced and shuffled, eval and test as they are."""

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from classlift.data.examples import to_example
from classlift.data.formats.tfrecord import write_record
from classlift.data.images import for_tensorflow
from classlift.data.label_map import LabelMap
from classlift.data.media import read_bytes
from classlift.data.schema import SPLITS
from classlift.data.snapshot import OLD, Snapshot, release_unused
from classlift.errors import DataError
from classlift.examples.copy_paste import Paste, find_donors, paste, plan_pastes
from classlift.examples.rebalance import class_factors, copies, effective_sample_size
from classlift.examples.rebalanced import Rebalanced, TrainingData
from classlift.examples.rows import BoxRow, ImageRow
from classlift.paths import replacing
from classlift.settings.rebalancing import Rebalancing
from classlift.settings.targets import classes_in_words
from classlift.transforms import LOCAL_OPTIONS, map_shards

logger = logging.getLogger(__name__)

RECORDS_PER_FILE = 1000
TRAIN = SPLITS[0]
"""The split that is rebalanced."""

_IMAGE_COLUMNS = ["image_id", "uri", "sha256", "width", "height", "format", "unlabelled"]
_BOX_COLUMNS = ["label", "xmin", "ymin", "xmax", "ymax", "is_crowd", "difficult"]

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RecordFile:
    """One file of records to write: a shard of the work.

    Attributes:
        images: its records in their order.
        boxes: of each in turn, `counts` of them.
        pasted: what copy-paste does to some records, by their number, and their boxes after it.

    """

    path: str
    images: pa.Table
    boxes: pa.Table
    counts: Indices
    label_map: LabelMap
    pasted: Mapping[int, tuple[list[Paste], list[BoxRow]]] = field(default_factory=dict)


class _Members:
    """The images of a snapshot with their boxes, by number."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.images = snapshot.images
        owners = pc.index_in(
            snapshot.boxes["image_id"], value_set=self.images["image_id"]
        ).to_numpy()
        self.boxes = snapshot.boxes.select(_BOX_COLUMNS).unify_dictionaries()
        if (np.diff(owners) < 0).any():
            order = np.argsort(owners, kind="stable")
            self.boxes, owners = self.boxes.take(order), owners[order]
        self.starts = np.searchsorted(owners, np.arange(self.images.num_rows + 1))

    def of_split(self, split: str) -> Indices:
        """The numbers of a split's images."""
        return np.flatnonzero(pc.equal(self.images["split"], split).to_numpy())

    def are_old(self, images: Indices) -> npt.NDArray[np.bool_]:
        """Whether each is of the data that the champion knows."""
        return np.asarray(pc.equal(self.images["tag"], OLD).to_numpy()[images], bool)

    def counts(self, images: Indices) -> Indices:
        """How many boxes each image has."""
        return np.asarray(self.starts[images + 1] - self.starts[images], np.int64)

    def box_rows(self, images: Indices) -> Indices:
        """The rows of `boxes` of each image in turn."""
        counts = self.counts(images)
        skipped = self.starts[images] - (np.cumsum(counts) - counts)
        return np.asarray(np.repeat(skipped, counts) + np.arange(counts.sum()), np.int64)

    def labels_of(self, images: Indices) -> Any:
        """The label of each of their boxes, an Arrow column."""
        return self.boxes["label"].take(self.box_rows(images))

    def labels(self, images: Indices) -> list[frozenset[str]]:
        """The classes that each image shows."""
        encoded = self.boxes["label"].combine_chunks()
        names, codes = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
        seen: dict[frozenset[str], frozenset[str]] = {}  # few sets, however many images
        shown = (
            frozenset(names[code] for code in codes[self.starts[i] : self.starts[i + 1]])
            for i in images
        )
        return [seen.setdefault(labels, labels) for labels in shown]


def write_examples(
    snapshot: Snapshot,
    label_map: LabelMap,
    plan: Rebalancing,
    folder: Path,
    beam_options: Sequence[str] = LOCAL_OPTIONS,
) -> Rebalanced:
    """Writes `Split-train`, rebalanced, and `Split-eval` and `Split-test` as they are.

    Args:
        snapshot: labelled images; each file must be as it was when the snapshot was taken.
        label_map: the ids that the records give to classes.
        plan: how the train split is rebalanced.
        folder: to write below; the folders of the splits must not be there.
        beam_options: Beam's, as on its command line.

    Returns:
        What rebalancing did, which is not written yet.

    Raises:
        DataError: an image file has changed since the snapshot was taken, or the plan can't be kept
            with these data.

    """
    members = _Members(snapshot)
    release_unused()
    train = members.of_split(TRAIN)
    shown, is_old = members.labels(train), members.are_old(train)
    times = copies(shown, is_old.tolist(), plan)
    for split in SPLITS:
        (folder / f"Split-{split}").mkdir(parents=True)
    written = _Written()
    files = chain(
        written.counted(_train_files(members, train, times, label_map, plan)),
        *(_natural_files(members, split, label_map) for split in SPLITS if split != TRAIN),
    )
    map_shards(write_file, files, folder, beam_options)
    before = dict(sorted(_count([members.labels_of(train)]).items()))
    return Rebalanced(
        method=plan.method,
        factors=class_factors(shown, plan),
        share_of_images_repeated=float((times > 1).mean()) if len(times) else 0.0,
        effective_sample_size=effective_sample_size(times),
        boxes_before=before,
        boxes_old=dict(sorted(_count([members.labels_of(train[is_old])]).items())),
        boxes_after={label: written.boxes[label] for label in before},
        pasted=written.pasted,
        data=TrainingData.of(snapshot, plan, before),
    )


class _Written:
    """Counts what is in the files of records: boxes by class, and objects that were pasted."""

    def __init__(self) -> None:
        self.boxes, self.pasted = Counter[str](), 0

    def counted(self, files: Iterable[RecordFile]) -> Iterator[RecordFile]:
        """Hands the files on, and counts each."""
        for file in files:
            self.boxes.update(_count(_labels_of(file)))
            self.pasted += sum(len(pastes) for pastes, _ in file.pasted.values())
            yield file


def _train_files(
    members: _Members,
    images: Indices,
    times: Indices,
    label_map: LabelMap,
    plan: Rebalancing,
) -> Iterator[RecordFile]:
    """The files of the train split, one at a time, so that they need not fit into memory together.

    Args:
        members: of the snapshot.
        images: rows of the images of train.
        times: how often each of them is written.
        label_map: the ids that the records give to classes.
        plan: how the split is rebalanced.

    Returns:
        The files, in a random order of their examples.

    """
    order = np.repeat(images, times)
    np.random.default_rng(plan.seed).shuffle(order)
    logger.info(f"{TRAIN}: {len(order)} examples from {len(images)} images")
    files = _files(members, order, TRAIN, label_map)
    return _with_pastes(files, members, images, plan) if plan.copy_paste else files


def _natural_files(members: _Members, split: str, label_map: LabelMap) -> Iterator[RecordFile]:
    """The files of a split that is written as it is, one at a time."""
    images = members.of_split(split)
    logger.info(f"{split}: {len(images)} examples")
    yield from _files(members, images, split, label_map)


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
        release_unused()  # what choosing the rows took


def _with_pastes(
    files: Iterable[RecordFile], members: _Members, images: Indices, plan: Rebalancing
) -> Iterator[RecordFile]:
    """The files with copy-paste planned; raises DataError when there is nothing to copy."""
    rows: list[ImageRow] = members.images.select(_IMAGE_COLUMNS).take(images).to_pylist()
    boxes: list[BoxRow] = members.boxes.take(members.box_rows(images)).to_pylist()
    counts = members.counts(images)
    by_image = {
        row["image_id"]: boxes[end - count : end]
        for row, end, count in zip(rows, np.cumsum(counts), counts, strict=True)
    }
    donors = find_donors(rows, by_image, plan.targets)
    if not donors:
        raise DataError(
            f"copy_paste: the train split has no object of {classes_in_words(plan.targets)} that "
            "stands clear of others and can be copied; set copy_paste to 0."
        )
    rng = np.random.default_rng([plan.seed, 1])
    for file in files:
        pasted = {}
        for number, row in enumerate(file.images.to_pylist()):
            if rng.random() < plan.copy_paste:
                pasted[number] = plan_pastes(row, by_image[row["image_id"]], donors, rng)
        yield replace(file, pasted=pasted)


def _labels_of(file: RecordFile) -> Iterator[Any]:
    """The labels of the boxes of a file, with those that copy-paste leaves."""
    untouched = np.array([n not in file.pasted for n in range(len(file.counts))], bool)
    yield file.boxes["label"].filter(pa.array(np.repeat(untouched, file.counts)))
    for _, boxes in file.pasted.values():
        yield pa.array([box["label"] for box in boxes], pa.string())


def _count(columns: Iterable[Any]) -> Counter[str]:
    """How often each label stands in Arrow columns."""
    counts: Counter[str] = Counter()
    for column in columns:
        counts.update({row["values"]: row["counts"] for row in column.value_counts().to_pylist()})
    return counts


def write_file(file: RecordFile, folder: Path) -> None:
    """Writes one file of records, or nothing; one image at a time is in memory.

    Args:
        file: which images go into it, and how.
        folder: of the Examples.

    Raises:
        DataError: an image file has changed since the snapshot was taken.

    """
    boxes, ends = file.boxes.to_pylist(), np.cumsum(file.counts)
    with replacing(folder / file.path) as draft, draft.open("wb") as out:
        for number, image in enumerate(file.images.to_pylist()):
            own = boxes[ends[number] - file.counts[number] : ends[number]]
            stored = _read_unchanged(image["uri"], image["sha256"])
            encoded, image["format"] = for_tensorflow(stored, image["format"], image["uri"])
            if number in file.pasted:
                pastes, own = file.pasted[number]
                encoded = _pasted(image["format"], encoded, pastes)
            if encoded is not stored:
                image["sha256"] = hashlib.sha256(encoded).hexdigest()
            write_record(out, to_example(image, own, encoded, file.label_map))


def _pasted(image_format: str, encoded: bytes, pastes: Sequence[Paste]) -> bytes:
    """An encoded image with the pixels of donors, read from their files."""
    donors = [(item, _read_unchanged(item.donor.uri, item.donor.sha256)) for item in pastes]
    return paste(encoded, image_format, donors)


def _read_unchanged(uri: str, sha256: str) -> bytes:
    data = read_bytes(uri)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DataError(f"{uri}: the file has changed since the snapshot was taken; run again.")
    return data
