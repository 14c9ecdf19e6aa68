"""The snapshot: the immutable, content-hashed table form of a labelled data set."""

import hashlib
import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.dataset import parts, schema
from components.dataset.duplicates import hash_bits
from components.dataset.formats import files_of, home_of, label_shards
from components.dataset.labels import Shard
from components.dataset.paths import state
from components.dataset.splits import OPEN, Candidates, place
from components.errors import DataError
from components.transforms import LOCAL_OPTIONS, map_shards

OLD = "old"
"""The tag of data that the champion was trained on; they are replayed, not new."""

IMAGE_PROBLEMS = pa.schema(
    [(name, pa.string()) for name in ("image_id", "source", "problem", "severity")]
)
_REPEATED_SHOWN = 5


@dataclass(frozen=True)
class Source:
    """Labels in the config.

    path: a COCO JSON file, a Pascal VOC, YOLO or Parquet folder, or TFRecords of the OD API.
    split: `train`, `eval` or `test`; None spreads the images over all three, see
        `components.dataset.splits`.
    tag: `old` for what the champion was trained on, `new` otherwise.
    format: a name of `components.dataset.formats.FORMATS`; None tells it by looking.
    images: the folder that COCO's and Parquet's paths start from, where it is not their own.
    group: a regular expression on the file name; images in which it finds the same text (its
        first group, if it has one) are of one group. None: each image is its own.
    """

    path: Path
    split: str | None = None
    tag: str = "new"
    format: str | None = None
    images: Path | None = None
    group: str | None = None

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], root: Path) -> "Source":
        """From the config's mapping; relative paths are below `root`."""
        return cls(
            root / record["path"],
            record.get("split"),
            record.get("tag", "new"),
            record.get("format"),
            root / record["images"] if "images" in record else None,
            record.get("group"),
        )

    def prefix(self) -> str:
        """What the ids of this source's images begin with: its folder's name, or its record's."""
        return f"{home_of(self.path).name}/"

    def group_of(self, file_name: str) -> str:
        """The name of the group that an image belongs to; its own file name if none.

        >>> Source(Path("x"), group="^(Town[0-9]+)_").group_of("Town01_000060.jpg")
        'Town01'
        """
        found = re.search(self.group, file_name) if self.group else None
        if not found:
            return file_name
        return str(found.group(1) if found.re.groups else found.group())


@dataclass(frozen=True)
class Snapshot:
    """Tables with the schemas of `components.dataset.schema`, and a hash of what they say.

    problems: what is wrong with image files (`IMAGE_PROBLEMS`); the validator judges them.
    """

    images: pa.Table
    boxes: pa.Table
    problems: pa.Table
    content_hash: str

    def write(self, folder: Path) -> None:
        """Writes `images.parquet`, `boxes.parquet`, `image_problems.parquet`, `snapshot.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(self.images, folder / "images.parquet")
        pq.write_table(self.boxes, folder / "boxes.parquet")
        pq.write_table(self.problems, folder / "image_problems.parquet")
        facts = {
            "content_hash": self.content_hash,
            "images": self.images.num_rows,
            "boxes": self.boxes.num_rows,
        }
        (folder / "snapshot.json").write_text(json.dumps(facts, indent=1))

    @classmethod
    def read(cls, folder: Path) -> "Snapshot":
        """Reads what `write` wrote."""
        images, boxes, problems = (
            pq.read_table(folder / f"{name}.parquet")
            for name in ("images", "boxes", "image_problems")
        )
        facts = json.loads((folder / "snapshot.json").read_text())
        return cls(images, boxes, problems, facts["content_hash"])


def take_snapshot(
    sources: Iterable[Source],
    report: Callable[[str], None] = print,
    memory: Path | None = None,
    beam_options: Sequence[str] = LOCAL_OPTIONS,
) -> Snapshot:
    """Reads all sources, looks at every image, places each in a split, and hashes the content.

    memory: a folder kept between snapshots. What has not changed is not read again, and no image
    moves from one split to another. beam_options: see `components.transforms`.

    Raises DataError when labels can't be read, two images have one id, or there are none.
    """
    sources = list(sources)
    held = nullcontext(str(memory)) if memory else tempfile.TemporaryDirectory()
    with held as folder:
        return _take(sources, Path(folder), report, beam_options)


def _take(
    sources: list[Source], memory: Path, report: Callable[[str], None], options: Sequence[str]
) -> Snapshot:
    folder = memory / "parts"
    folder.mkdir(parents=True, exist_ok=True)
    shards = [
        (source, list(label_shards(source.path, source.format, source.images)))
        for source in sources
    ]
    every = [shard for _, found in shards for shard in found]
    ready = {shard: parts.read_part(shard, folder) for shard in every}
    missing = [shard for shard in every if ready[shard] is None]
    key = hashlib.sha256(repr([(s, [h.key() for h in found]) for s, found in shards]).encode())
    last = memory / "last"
    if not missing and (last / key.hexdigest()).exists():
        report("nothing has changed since the last snapshot")
        return Snapshot.read(last)
    if missing:
        report(f"reading {len(missing)} of {len(every)} shards")
        map_shards(parts.read_shard, missing, folder, options, report)
        for shard in missing:
            ready[shard] = parts.read_part(shard, folder)
    snapshot, read = _assemble(shards, ready, memory / "splits.parquet", report)
    parts.keep_only(folder, every, read)
    draft = memory / "draft"
    shutil.rmtree(draft, ignore_errors=True)
    snapshot.write(draft)
    (draft / key.hexdigest()).touch()
    shutil.rmtree(last, ignore_errors=True)
    draft.rename(last)
    return snapshot


def _assemble(
    shards: list[tuple[Source, list[Shard]]],
    ready: Mapping[Shard, tuple[pa.Table, pa.Table] | None],
    splits: Path,
    report: Callable[[str], None],
) -> tuple[Snapshot, pa.Table]:
    """The snapshot from the parts of all shards, and the images as the parts have them."""
    images, boxes, read = [], [], [parts.PART_IMAGES.empty_table()]
    problems: list[dict[str, Any]] = []
    for source, found in shards:
        tables = [table for shard in found if (table := ready[shard])]
        if len(tables) < len(found):
            raise DataError(f"{source.path}: its images change while they are read; run again.")
        part_images = pa.concat_tables(
            [parts.PART_IMAGES.empty_table(), *(t[0] for t in tables if t)]
        )
        part_boxes = pa.concat_tables(
            [parts.PART_BOXES.empty_table(), *(t[1] for t in tables if t)]
        )
        report(f"{source.path}: {part_images.num_rows} images, {part_boxes.num_rows} boxes")
        read.append(part_images)
        part_images, wrong = parts.judge(part_images)
        prefix = source.prefix()
        problems += [{"image_id": prefix + row.pop("file_name"), **row} for row in wrong]
        images.append(_with_source(part_images, source, prefix))
        boxes.append(_with_id(part_boxes, prefix))
    image_table, box_table = pa.concat_tables(images), pa.concat_tables(boxes).unify_dictionaries()
    if not image_table.num_rows:
        raise DataError("The data have no images: name at least one source that has some.")
    _require_single_ids(image_table)
    box_table = box_table.append_column("box_id", pa.array(range(box_table.num_rows), pa.int64()))
    box_table = box_table.select(schema.BOXES.names).cast(schema.BOXES)
    image_table = _place(image_table, box_table, splits, report)
    image_table = image_table.select(schema.IMAGES.names).cast(schema.IMAGES)
    problem_table = pa.Table.from_pylist(problems, IMAGE_PROBLEMS)
    digest = content_hash(image_table, box_table)
    return Snapshot(image_table, box_table, problem_table, digest), pa.concat_tables(read)


def _with_id(table: pa.Table, prefix: str) -> pa.Table:
    image_id = pc.binary_join_element_wise(prefix, table["file_name"], "")
    return table.append_column("image_id", image_id)


def _with_source(table: pa.Table, source: Source, prefix: str) -> pa.Table:
    rows = table.num_rows
    groups = [prefix + source.group_of(name) for name in table["file_name"].to_pylist()]
    table = _with_id(table, prefix)
    table = table.append_column("group", pa.array(groups, pa.string()))
    table = table.append_column("split", pa.array([source.split] * rows, pa.string()))
    return table.append_column("tag", pa.array([source.tag] * rows, pa.string()))


def _require_single_ids(images: pa.Table) -> None:
    counts = Counter(images["image_id"].to_pylist())
    repeated = [image_id for image_id, count in counts.items() if count > 1]
    if not repeated:
        return
    rows = images.filter(pc.equal(images["image_id"], repeated[0]))
    places = " and ".join(dict.fromkeys(rows["source"].to_pylist()[:2]))
    raise DataError(
        f"The image {repeated[0]!r} is listed {counts[repeated[0]]} times (in {places})"
        + (f", and so are {len(repeated) - 1} more" if len(repeated) > 1 else "")
        + "; list each image once, and give the folders of different sources different names."
    )


def _place(
    images: pa.Table, boxes: pa.Table, path: Path, report: Callable[[str], None]
) -> pa.Table:
    """Fills the columns `split` and `group`, and remembers them at `path`.

    A split that a source gives stands; one that was given before stays, by the image's id or by
    its content.
    """
    earlier = pq.read_table(path).to_pylist() if path.exists() else []
    by_content = {row["sha256"]: row for row in earlier if row["sha256"]}
    by_id = {row["image_id"]: row for row in earlier}
    ids, hashes = images["image_id"].to_pylist(), images["sha256"].to_pylist()
    known = [by_id.get(i) or by_content.get(h) for i, h in zip(ids, hashes, strict=True)]
    given = images["split"].to_pylist()
    splits = [g or (k and k["split"]) for g, k in zip(given, known, strict=True)]
    groups = images["group"].to_pylist()
    if None in splits:
        report("finding near-duplicate images, and splits that keep them together")
        phashes = [
            phash or hashlib.sha256(image_id.encode()).hexdigest()  # one of no picture is alone
            for phash, image_id in zip(images["phash"].to_pylist(), ids, strict=True)
        ]
        settled = [OPEN if split is None else schema.SPLITS.index(split) for split in splits]
        placed, groups = place(
            Candidates(
                keys=[sha256 or i for sha256, i in zip(hashes, ids, strict=True)],
                groups=groups,
                bits=hash_bits(phashes),
                counts=_counts(ids, boxes),
                splits=np.array(settled, np.int64),
            )
        )
        splits = [schema.SPLITS[index] for index in placed]
    elif None not in given:
        pass  # nothing to remember that the sources do not say
    elif all(known):
        groups = [k["group"] for k in known if k]
    now = {
        i: {"image_id": i, "sha256": h, "split": s, "group": g}
        for i, h, s, g in zip(ids, hashes, splits, groups, strict=True)
    }
    pq.write_table(pa.Table.from_pylist(list({**by_id, **now}.values())), path)
    for name, column in (("split", splits), ("group", groups)):
        index = images.column_names.index(name)
        images = images.set_column(index, name, pa.array(column, pa.string()))
    return images


def _counts(image_ids: list[str], boxes: pa.Table) -> Any:
    """[images, classes] boxes; those of images that are not listed are left out."""
    index = {image_id: number for number, image_id in enumerate(image_ids)}
    labels = boxes["label"].combine_chunks()
    counts = np.zeros((len(image_ids), max(len(labels.dictionary), 1)), np.int64)
    rows = [index[image_id] for image_id in boxes["image_id"].to_pylist()]
    if rows:
        np.add.at(counts, (rows, labels.indices.to_numpy()), 1)
    return counts


def content_hash(images: pa.Table, boxes: pa.Table) -> str:
    """SHA-256 of what the tables say, whatever the order of rows or the place of the files."""
    digest = hashlib.sha256()
    for table, names in (
        (images, ["image_id", "sha256", "split", "group", "tag"]),
        (boxes, ["image_id", "label", "xmin", "ymin", "xmax", "ymax", "is_crowd", "difficult"]),
    ):
        columns = {
            name: table[name].cast(pa.string()) if name == "label" else table[name]
            for name in names
        }
        ordered = pa.table(columns).sort_by([(name, "ascending") for name in names])
        for column in ordered.columns:
            if column.type == pa.string():
                digest.update("\0".join(value or "" for value in column.to_pylist()).encode())
            else:
                digest.update(column.to_numpy().tobytes())
    return digest.hexdigest()


def fingerprint(sources: Iterable[Source]) -> str:
    """A cheap hash that changes when the sources may have: names, sizes and times, nothing read.

    Raises DataError when a source is not there.
    """
    digest = hashlib.sha256()
    for source in sources:
        if not source.path.exists():
            raise DataError(f"{source.path}: there is no such file; check `data.sources`.")
        digest.update(repr((source.split, source.tag, source.format, source.group)).encode())
        for path in files_of(source.path, source.images):
            digest.update(repr((str(path), state(path))).encode())
    return digest.hexdigest()
