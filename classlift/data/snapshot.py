"""The snapshot: the immutable, content-hashed table form of a labelled data set."""

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from classlift import own_folders
from classlift.data import checksums, kept_labels, kept_splits, parts, published, schema
from classlift.data.checksums import damage, seal, text_of
from classlift.data.duplicates import Bits, hash_bits
from classlift.data.formats import FORMATS, files_of, look
from classlift.data.geometry import SIDES, Floats, is_bad, sides_of
from classlift.data.images import ABSENT
from classlift.data.labels import has_class
from classlift.data.passed_over import passed_over
from classlift.data.places import Layout
from classlift.data.problems import WARNING, ImageProblem, from_table, to_table
from classlift.data.reach import Reach
from classlift.data.splits import HELD_OUT, OPEN, Candidates, place
from classlift.data.unlisted import files_below, unlisted
from classlift.data.unusable import UNCLEAR, UNREAD, require_images, require_usable
from classlift.errors import DataError
from classlift.paths import did_you_mean_path, replacing, state
from classlift.patterns import searching
from classlift.settings.field import read
from classlift.settings.sources import SourceSettings
from classlift.text import did_you_mean
from classlift.transforms import LOCAL_OPTIONS, map_shards

logger = logging.getLogger(__name__)

OLD = "old"
"""The tag of data that the champion was trained on; they are replayed, not new."""

LOST = "no image is left out"
"""The rule that a snapshot breaks for each image that it leaves out, for it can't be used."""

DROPPED = "no box is left out"
"""The rule that a snapshot breaks for each box that it leaves out because the box is bad."""

release_unused = pa.system_memory_pool().release_unused
"""Gives the system back what is free between the things that stay, Pillow's and numpy's too."""

_BOXES_FILE = "boxes.parquet"
_FILES = ("images.parquet", _BOXES_FILE, "image_problems.parquet", "snapshot.json")
_ROW_GROUP = 20_000  # rows; what a Parquet writer holds in memory
_BOX_COLUMNS = [name for name in schema.BOXES.names if name != "box_id"]
_PUBLISHED = "published"
_PLACED = schema.IMAGES.append(pa.field(_PUBLISHED, pa.string()))
"""Images of which some have no split yet, with those that are published with the labels."""


@dataclass(frozen=True)
class Source:
    """Labels in the config.

    Attributes:
        path: a file or folder in one of `classlift.data.formats.FORMATS`.
        split: `train`, `eval` or `test`; None leaves it to `split_from`.
        tag: `old` for what the champion was trained on, `new` otherwise.
        format: a name of `classlift.data.formats.FORMATS`; None tells it by looking.
        images: the folder that the paths of a format which lists them start from, where it is not
            found by looking.
        group: a regular expression on the file name; images in which it finds the same text (its
            first group, if it has one) are of one group. None: each image is its own.
        labelled_for: the classes whose every object has a box; None for all, see `Labelling`.
        split_from: `published`, `train` or `spread`, see `classlift.data.published`; None takes the
            splits that are published with the labels, and spreads the images over all three, see
            `classlift.data.splits`, where there are none.
        label_map: names the class ids of records that have no names; None is the one beside them.

    """

    path: Path
    split: str | None = None
    tag: str = "new"
    format: str | None = None
    images: Path | None = None
    group: str | None = None
    labelled_for: tuple[str, ...] | None = None
    split_from: str | None = None
    label_map: Path | None = None

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], root: Path) -> "Source":
        """From the config's mapping; relative paths are below `root`."""
        settings = read(SourceSettings, record)
        return cls(
            root / settings.path,
            settings.split,
            settings.tag,
            settings.format,
            root / settings.images if settings.images else None,
            settings.group,
            settings.labelled_for,
            settings.split_from,
            root / settings.label_map if settings.label_map else None,
        )

    def paths(self) -> tuple[Path | None, ...]:
        """What it names: labels, images and label map."""
        return self.path, self.images, self.label_map

    @contextmanager
    def grouping(self) -> Iterator[Callable[[Sequence[str]], list[str]]]:
        """What names the groups of images by their file names.

        Yields:
            A function from file names to the names of their groups: the file name itself where
            `group` is None, or is not in it.

        >>> with Source(Path("x"), group="^(Town[0-9]+)_").grouping() as groups:
        ...     groups(["Town01_000060.jpg", "a.jpg"])
        ['Town01', 'a.jpg']

        """
        if self.group is None:
            yield list
            return
        with searching(self.group, f"{self.path}: group") as search:
            yield lambda names: [
                name if found is None else found
                for name, found in zip(names, search.find(names), strict=True)
            ]


@dataclass(frozen=True)
class Labelling:
    """The classes that a data set may be labelled for.

    Attributes:
        classes: all of them.
        new: those that the model does not have yet. A source that does not say what it is labelled
            for is labelled for those of which it has a box, and for all others.

    """

    classes: tuple[str, ...] = ()
    new: frozenset[str] = frozenset()

    def unlabelled(self, source: Source, seen: frozenset[str]) -> list[str]:
        """The classes whose objects may be in a source's images without a box.

        Args:
            source: whose `labelled_for` says what it is labelled for.
            seen: the classes of its boxes.

        Returns:
            Their names, in the order of `classes`.

        Raises:
            DataError: it has a box of a class that it says it is not labelled for, or says it is
                labelled for one that there isn't.

        """
        if source.labelled_for is None:
            return [label for label in self.classes if label in self.new - seen]
        for label in source.labelled_for:
            if label not in self.classes:
                raise DataError(
                    f"{source.path}: labelled_for names {label!r:.80}, which is no class of the "
                    f"model, nor a new one{did_you_mean(label, self.classes)}; there are: "
                    f"{', '.join(self.classes)}."
                )
        for label in sorted(seen.intersection(self.classes) - set(source.labelled_for)):
            raise DataError(
                f"{source.path}: it has boxes of class {label!r:.80}, which its labelled_for "
                "leaves out; name the class there, or remove the boxes."
            )
        return [label for label in self.classes if label not in source.labelled_for]


@dataclass(frozen=True)
class SnapshotFacts:
    """The hash of a snapshot's content, and how many images and boxes it has."""

    content_hash: str
    images: int
    boxes: int


@dataclass(frozen=True)
class Snapshot:
    """Tables with the schemas of `classlift.data.schema`, and a hash of what they say.

    Attributes:
        problems: what is wrong with image files, and what was done to boxes on their way in
            (`problems.IMAGE_PROBLEMS`); the validator judges them.
        is_published: whether splits are those that were published with the labels, and not found
            by spreading or said by a config.

    """

    images: pa.Table
    boxes: pa.Table
    problems: pa.Table
    content_hash: str
    is_published: bool = False

    def image_problems(self) -> list[ImageProblem]:
        """What is wrong with image files."""
        return from_table(self.problems)

    def with_names(self, renamed: Mapping[str, str]) -> "Snapshot":
        """The snapshot with other labels, as `LabelMap.renamed` has them; others stay."""
        boxes = with_names(self.boxes, renamed)
        return replace(self, boxes=boxes, content_hash=content_hash(self.images, boxes))

    def with_splits(self, splits: pa.Array) -> "Snapshot":
        """The snapshot with its images in other splits, under the hash that it has.

        Args:
            splits: of the images, in their order.

        Returns:
            What models are asked about; it is not for writing.

        """
        return replace(self, images=_set(self.images, "split", splits))

    def facts(self) -> SnapshotFacts:
        """Its hash and size."""
        return SnapshotFacts(self.content_hash, self.images.num_rows, self.boxes.num_rows)

    def write(self, folder: Path) -> None:
        """Writes `images.parquet`, `boxes.parquet`, `image_problems.parquet`, `snapshot.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(self.boxes, folder / _BOXES_FILE, row_group_size=_ROW_GROUP)
        self._write_rest(folder)

    def _write_rest(self, folder: Path) -> None:
        pq.write_table(self.images, folder / "images.parquet", row_group_size=_ROW_GROUP)
        pq.write_table(self.problems, folder / "image_problems.parquet")
        facts = {**vars(self.facts()), "is_published": self.is_published}
        (folder / "snapshot.json").write_text(json.dumps(facts, indent=1))
        seal(folder, _FILES)

    @classmethod
    def read(cls, folder: Path) -> "Snapshot":
        """Reads what `write` wrote. Raises DataError when it is missing or damaged."""
        # Snapshots of earlier versions have no checksums.
        damaged = damage(folder, _FILES) if (folder / checksums.FILE).exists() else None
        if damaged is None:
            try:
                images, boxes, problems = (
                    pq.read_table(folder / f"{name}.parquet")
                    for name in ("images", "boxes", "image_problems")
                )
                facts = json.loads((folder / "snapshot.json").read_text())
                if "unlabelled" not in images.column_names:  # of an earlier version
                    images = _with_unlabelled(images, [])
                is_published = facts.get("is_published", False)  # none of an earlier version
                return cls(images, boxes, problems, facts["content_hash"], is_published)
            except (OSError, ValueError, KeyError, pa.ArrowException) as error:
                damaged = " ".join(str(error).split())
        raise DataError(
            f"{folder}: the snapshot is damaged: {damaged}; remove the folder and run the pipeline "
            "again."
        )


def take_snapshot(
    sources: Iterable[Source],
    memory: Path | None = None,
    beam_options: Sequence[str] = LOCAL_OPTIONS,
    served: Sequence[Path] = (),
    renamed: Mapping[str, str] | None = None,
    droppable: float = 0.0,
    labelling: Labelling = Labelling(),
) -> Snapshot:
    """Reads all sources, looks at every image, places each in a split, and hashes the content.

    Args:
        sources: at least one that has images.
        memory: a folder kept between snapshots. What has not changed is not read again, and no
            image moves from one split to another.
        beam_options: see `classlift.transforms`.
        served: folders of served versions that carry the splits, the newest first, for a memory
            that was lost.
        renamed: labels, and what the boxes are called instead (`LabelMap.renamed`).
        droppable: the share of boxes, 0 to 1, that may be left out because they are bad
            (`geometry.is_bad`, or no class); each is among the problems. With 0 they stay, for the
            validator to name.
        labelling: the classes that sources may be labelled for, where not all of them are labelled
            for all.

    Returns:
        The snapshot, which lies in the memory too.

    Raises:
        DataError: labels can't be read, two images have one id, there are none, or more boxes are
            bad than may be left out.

    """
    sources = list(sources)
    held = nullcontext(str(memory)) if memory else tempfile.TemporaryDirectory()
    with held as folder:
        asked = _Boxes(renamed or {}, droppable, labelling)
        return _take(sources, Path(folder), beam_options, served, asked)


@dataclass(frozen=True)
class _Part:
    """What was read of a shard.

    Attributes:
        key: of the part.
        below: what its file names get in front.
        split: as published, of all its images; None where only they say it themselves.

    """

    key: str
    below: str
    split: str | None


@dataclass(frozen=True)
class _Read:
    """What was read of a source.

    Attributes:
        prefix: what the ids of its images begin with.
        files: the image files that lie with it, by whose coming and going it has changed.
        passed: the label files that lie with it, and are not read.

    """

    source: Source
    prefix: str
    parts: tuple[_Part, ...]
    layout: Layout
    files: tuple[str, ...]
    passed: tuple[ImageProblem, ...]


@dataclass(frozen=True)
class _Boxes:
    """What is done to boxes on their way in, as in `take_snapshot`."""

    renamed: Mapping[str, str]
    droppable: float
    labelling: Labelling


def _take(
    sources: list[Source],
    memory: Path,
    options: Sequence[str],
    served: Sequence[Path],
    asked: _Boxes,
) -> Snapshot:
    own_folders.make(memory, own_folders.MEMORY)  # so all in it is ours to replace
    folder = memory / "parts"
    folder.mkdir(exist_ok=True)
    if any(source.split is None for source in sources):
        kept_splits.restore(served, memory)
    kept_splits.remembered(memory / kept_splits.FILE)  # before any work
    read, changed = _read(sources, folder, options)
    inputs = [*read, *sorted(asked.renamed.items()), asked.droppable]
    inputs += [(asked.labelling.classes, tuple(sorted(asked.labelling.new)))]
    name = hashlib.sha256(repr(inputs).encode()).hexdigest()
    last = memory / "last"
    splits = memory / kept_splits.FILE
    if not changed and (last / name).exists() and splits.exists():
        if not damage(last, _FILES):
            logger.info("nothing has changed since the last snapshot")
            return Snapshot.read(last)
        logger.warning(f"{last}: the last snapshot is damaged, so it is made anew")
    draft = memory / "draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    snapshot = _assemble(read, folder, splits, draft, asked)
    parts.keep_only(folder, [part.key for of_source in read for part in of_source.parts])
    (draft / name).touch()
    if last.exists() and not damage(last, _FILES):
        _report_fewer(pq.read_table(last / _BOXES_FILE, columns=["image_id"]), snapshot)
    shutil.rmtree(last, ignore_errors=True)
    draft.rename(last)
    return snapshot


def _report_fewer(before: pa.Table, now: Snapshot) -> None:
    """Says where images have fewer boxes than before: a file cut between two lines is whole."""
    then, found = (table["image_id"].value_counts() for table in (before, now.boxes))
    names, counts = then.field("values"), then.field("counts")
    left = found.field("counts").take(pc.index_in(names, value_set=found.field("values")))
    left = pc.fill_null(left, 0)
    there = pc.is_in(names, value_set=now.images["image_id"].combine_chunks())
    fewer = pc.and_(there, pc.less(left, counts))
    if not pc.any(fewer).as_py():
        return
    first, count = fewer.index(True).as_py(), pc.sum(fewer).as_py()
    logger.warning(
        f"{count} image{' has' if count == 1 else 's have'} fewer boxes than in the last snapshot "
        f"(the first: {names[first]}, {left[first]} instead of {counts[first]}): if nobody removed "
        "them, label files were cut"
    )


def _read(sources: list[Source], folder: Path, options: Sequence[str]) -> tuple[list[_Read], bool]:
    """Reads the shards of all sources that were not read before, or have changed.

    The shards themselves, which name every file, are held no longer than that.

    Returns:
        The parts of each source, and whether any had to be read.

    """
    layouts = [look(s.path, s.format, s.images, s.label_map) for s in sources]
    labels = folder / "labels"
    labels.mkdir(exist_ok=True)
    for note in (note for layout in layouts for note in layout.notes):
        logger.warning(note)
    shards = [
        [
            (place, shard)
            for place in layout.places
            for shard in FORMATS[place.format].shards(replace(place, kept=labels))
        ]
        for layout in layouts
    ]
    kept_labels.keep_only(labels, [place.path for layout in layouts for place in layout.places])
    every = [shard for found in shards for _, shard in found]
    damaged = parts.forget_damaged(folder, every)
    if damaged:
        logger.warning(f"{folder}: {damaged} of what was kept is damaged, and is read anew")
    missing = [shard for shard in every if not parts.is_current(shard, folder)]
    if missing:
        logger.info(f"reading {len(missing)} of {len(every)} shards")
        map_shards(parts.read_shard, missing, folder, options)
        release_unused()
    prefixes = _prefixes([layout.root for layout in layouts])
    read = [
        _Read(
            source,
            prefix,
            tuple(_Part(s.key, p.below, p.split) for p, s in found),
            layout,
            files_below(layout),
            tuple(passed_over(layout)),
        )
        for source, prefix, found, layout in zip(sources, prefixes, shards, layouts, strict=True)
    ]
    return read, bool(missing)


def _prefixes(roots: Sequence[Path]) -> list[str]:
    """What the ids of images begin with: the names of their roots, with as many of the folders
    above as tell roots of one name apart.

    Returns:
        One for each root, ending in `/`.

    >>> _prefixes([Path("/a/old/images"), Path("/a/new/images"), Path("/a/test")])
    ['old/images/', 'new/images/', 'test/']

    """
    found = {}
    for root in roots:
        rivals = {other for other in roots if other.name == root.name}
        length = 1
        while len({other.parts[-length:] for other in rivals}) < len(rivals):
            length += 1
        found[root] = "/".join(part for part in root.parts[-length:] if part != root.anchor) + "/"
    return [found[root] for root in roots]


def _assemble(
    read: list[_Read],
    folder: Path,
    splits: Path,
    draft: Path,
    asked: _Boxes,
) -> Snapshot:
    """Joins the parts of all sources, and writes the snapshot.

    One part at a time is in memory, and the images; the boxes wait on disk until all else is done.

    Args:
        read: the sources with their parts.
        folder: of the parts.
        splits: file of the memory of splits, which is replaced.
        draft: folder to write into.
        asked: what is to be done with boxes.

    Returns:
        The snapshot that is in `draft`.

    Raises:
        DataError: there are no images, two have one id, or more boxes are bad than may be.

    """
    images = [_PLACED.empty_table()]
    problems: list[ImageProblem] = []
    with _BoxWriter(draft / _BOXES_FILE) as out, ExitStack() as stack:
        for found in read:
            source, before = found.source, out.rows
            seen: set[str] = set()
            groups = stack.enter_context(source.grouping())
            of_source = [_PLACED.empty_table()]
            said: list[ImageProblem] = []
            reach = Reach()
            for part in found.parts:
                part_images, part_boxes, remarks = parts.read_part(part.key, folder)
                part_images, wrong = parts.judge(part_images)
                reach.add(sides_of(part_boxes), _extents(part_boxes, part_images, "file_name"))
                prefix = found.prefix + part.below
                told = {remark.image_id for remark in remarks if remark.rule == UNCLEAR}
                wrong = [problem for problem in wrong if problem.image_id not in told]
                said += [
                    replace(problem, image_id=prefix + problem.image_id)
                    for problem in (*remarks, *wrong)
                ]
                of_source.append(_with_source(part_images, found, part, groups))
                part_boxes = _with_id(part_boxes, prefix).select(_BOX_COLUMNS)
                part_boxes = with_names(part_boxes, asked.renamed)
                seen.update(part_boxes["label"].cast(pa.string()).unique().to_pylist())
                out.write(part_boxes)
            unlabelled = asked.labelling.unlabelled(source, frozenset(seen))
            table = _with_unlabelled(pa.concat_tables(of_source), unlabelled)
            names = table["image_id"].to_pylist()
            takes_images = all(FORMATS[place.format].images for place in found.layout.places)
            boxes_read = out.rows - before
            told_of = [*said, *found.passed]
            require_usable(source.path, names, boxes_read, told_of, takes_images, found.prefix)
            kind = FORMATS[found.layout.places[0].format]
            reach.require_unit(source.path, kind.title.partition(",")[0], kind.in_shares)
            problems += said
            images.append(_with_published(table.select(_PLACED.names), source))
            logger.info(
                f"{source.path}: {table.num_rows} images, {out.rows - before} boxes"
                + (f", not labelled for {', '.join(unlabelled)}" if unlabelled else "")
            )
    image_table = pa.concat_tables(images)
    passed = [problem for found in read for problem in found.passed]
    require_images(image_table.num_rows, [*problems, *passed])
    problems += passed
    _require_single_ids(image_table, read, folder)
    used = set(image_table["uri"].to_pylist())
    for found, table in zip(read, images[1:], strict=True):
        problems += unlisted(found.layout, found.files, table["uri"].to_pylist(), used)
    is_published = image_table[_PUBLISHED].null_count < image_table.num_rows
    labels = pq.read_table(draft / _BOXES_FILE, columns=["image_id", "label"])
    if asked.droppable:
        image_table, problems = _without_lost_images(image_table, problems, asked.droppable)
        labels = _of_images(labels, image_table)
    release_unused()
    image_table = _place(image_table, labels, splits)
    del labels
    release_unused()  # what placing took, before the boxes come
    boxes = pq.read_table(draft / _BOXES_FILE).unify_dictionaries()
    if asked.droppable:
        boxes = _of_images(boxes, image_table)
        boxes, dropped = _without_bad_boxes(boxes, image_table, asked.droppable)
        problems += dropped
        pq.write_table(boxes, draft / _BOXES_FILE, row_group_size=_ROW_GROUP)
    problem_table = to_table(problems)
    hashed = content_hash(image_table, boxes)
    snapshot = Snapshot(image_table, boxes, problem_table, hashed, is_published)
    snapshot._write_rest(draft)
    return snapshot


def _without_lost_images(
    images: pa.Table, problems: list[ImageProblem], droppable: float
) -> tuple[pa.Table, list[ImageProblem]]:
    """Leaves out the images that are not there or can't be read, and those of unread labels.

    Args:
        images: of all sources.
        problems: of theirs.
        droppable: the share of images that may be left out, 0 to 1.

    Returns:
        The other images; and the problems, of which these are warnings that say it.

    Raises:
        DataError: more are lost.

    """
    unreadable = images.filter(pc.equal(images["phash"], ""))["image_id"].to_pylist()
    said = {problem.image_id for problem in problems if problem.rule in (ABSENT, UNCLEAR, UNREAD)}
    lost = said.union(unreadable)
    if not lost:
        return images, problems
    known = set(images["image_id"].to_pylist())
    every = len(known | lost)
    if len(lost) > droppable * every:
        raise DataError(
            f"{len(lost):,} of {every:,} images ({len(lost) / every:.2%}) are not there, can't be "
            f"read, or have labels that can't (the first: {min(lost)}), and `bad_boxes: drop` "
            f"leaves out at most {droppable:.2%}: `classlift validate` shows them, and `--fix` "
            "leaves them out; or raise data.max_bad_boxes."
        )
    kept = images.filter(pc.invert(pc.is_in(images["image_id"], value_set=pa.array(sorted(lost)))))
    return kept, [
        replace(problem, problem=f"{LOST}: {problem.problem}", severity=WARNING)
        if problem.image_id in lost and problem.is_critical
        else problem
        for problem in problems
    ]


def _of_images(boxes: pa.Table, images: pa.Table) -> pa.Table:
    """The boxes of the images."""
    return boxes.filter(pc.is_in(boxes["image_id"], value_set=images["image_id"].combine_chunks()))


def _without_bad_boxes(
    boxes: pa.Table, images: pa.Table, droppable: float
) -> tuple[pa.Table, list[ImageProblem]]:
    """Leaves out the boxes that are bad.

    Args:
        boxes: `schema.BOXES`.
        images: `schema.IMAGES`.
        droppable: the share of boxes that may be, 0 to 1.

    Returns:
        The other boxes, and a problem for each that is left out.

    Raises:
        DataError: more are bad.

    """
    bad = is_bad(sides_of(boxes), _extents(boxes, images, "image_id")) | ~has_class(boxes)
    lost = boxes.filter(pa.array(bad)).to_pylist()
    if not lost:
        return boxes, []
    if len(lost) > droppable * len(boxes):
        raise DataError(
            f"{len(lost):,} of {len(boxes):,} boxes ({len(lost) / len(boxes):.2%}) have no class, "
            f"no place or no area, or leave their image (the first: {lost[0]['source']}), and "
            f"`bad_boxes: drop` leaves out at most {droppable:.2%}: `classlift validate` shows "
            "them, and with `--fix` mends what can be; or raise data.max_bad_boxes."
        )
    problems = [
        ImageProblem(
            row["image_id"],
            row["source"],
            f"{DROPPED}: {_sides_said(row)}",
            WARNING,
        )
        for row in lost
    ]
    return boxes.filter(pa.array(~bad)), problems


def _extents(boxes: pa.Table, images: pa.Table, key: str) -> Floats:
    """[boxes, 2] width and height of each box's image in pixels; `key`: the column of its name."""
    rows = pc.index_in(boxes[key], value_set=images[key].combine_chunks())
    return np.stack([images[side].take(rows).to_numpy() for side in ("width", "height")], axis=1)


def _sides_said(row: Mapping[str, Any]) -> str:
    """That a box has no class, or its sides that are numbers."""
    if not row["label"]:
        return "its class has no name"
    given = [f"{side} {row[side]:.7g}" for side in SIDES if row[side] == row[side]]  # NaN is not
    return ", ".join(given) or "no side is a number"


class _BoxWriter:
    """Writes boxes to a Parquet file as parts of them come, numbered in their order."""

    def __init__(self, path: Path) -> None:
        self._file = pq.ParquetWriter(path, schema.BOXES)
        self._waiting: list[pa.Table] = []
        self._written = self.rows = 0

    def __enter__(self) -> "_BoxWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._file.close()

    def write(self, boxes: pa.Table) -> None:
        """boxes: all columns of `schema.BOXES` but `box_id`."""
        self._waiting.append(boxes)
        self.rows += boxes.num_rows
        if self.rows - self._written >= _ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self.rows == self._written:
            return
        boxes = pa.concat_tables(self._waiting).unify_dictionaries()
        box_id = pa.array(np.arange(self._written, self.rows))
        boxes = boxes.add_column(schema.BOXES.names.index("box_id"), "box_id", box_id)
        self._file.write_table(boxes.cast(schema.BOXES), row_group_size=len(boxes))
        self._waiting, self._written = [], self.rows


def _with_id(table: pa.Table, prefix: str) -> pa.Table:
    image_id = pc.binary_join_element_wise(prefix, table["file_name"], "")
    return table.append_column("image_id", image_id)


def with_names(boxes: pa.Table, renamed: Mapping[str, str]) -> pa.Table:
    """Boxes with other labels; those that are not in `renamed` stay."""
    if not renamed:
        return boxes
    labels = boxes["label"].cast(pa.string())
    place = pc.index_in(labels, value_set=pa.array(list(renamed), pa.string()))
    labels = pc.coalesce(pa.array(list(renamed.values()), pa.string()).take(place), labels)
    column = boxes.schema.get_field_index("label")
    return boxes.set_column(column, boxes.schema.field("label"), labels.cast(boxes["label"].type))


def _with_source(
    table: pa.Table,
    read: _Read,
    part: _Part,
    grouping: Callable[[Sequence[str]], list[str]],
) -> pa.Table:
    """The images of a part as `_PLACED`; `split` is null where the source gives none."""
    source, rows = read.source, table.num_rows
    names = [part.below + name for name in table["file_name"].to_pylist()]
    groups = [read.prefix + group for group in grouping(names)]
    given = pa.array([part.split] * rows, pa.string())
    table = table.rename_columns({"split": _PUBLISHED})
    table = _set(table, _PUBLISHED, pc.coalesce(given, table[_PUBLISHED]))
    table = _with_id(table, read.prefix + part.below)
    table = table.append_column("group", pa.array(groups, pa.string()))
    table = table.append_column("split", pa.array([source.split] * rows, pa.string()))
    table = table.append_column("tag", pa.array([source.tag] * rows, pa.string()))
    return _with_unlabelled(table, []).select(_PLACED.names).cast(_PLACED)


def _with_unlabelled(images: pa.Table, classes: Sequence[str]) -> pa.Table:
    """Images with the classes that their source is not labelled for."""
    if "unlabelled" in images.column_names:
        images = images.drop_columns("unlabelled")
    column = pa.array([list(classes)] * images.num_rows, pa.list_(pa.string()))
    return images.append_column("unlabelled", column)


def _with_published(images: pa.Table, source: Source) -> pa.Table:
    """The images of a source, of whose published splits those are left that hold."""
    if source.split:  # which the config says itself
        return _set(images, _PUBLISHED, pa.nulls(images.num_rows, pa.string()))
    splits, notes = published.settle(images[_PUBLISHED], source.split_from, source.path)
    for note in notes:
        logger.warning(note)
    return _set(images, _PUBLISHED, splits)


def _set(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    """A table with another column in the place of one."""
    return table.set_column(table.schema.get_field_index(name), name, column)


def _require_single_ids(images: pa.Table, read: Sequence[_Read], folder: Path) -> None:
    counts = images["image_id"].value_counts()
    many = counts.filter(pc.greater(counts.field("counts"), 1)).to_pylist()
    if not many:
        return
    repeated = [row["values"] for row in many]
    rows = images.filter(pc.equal(images["image_id"], repeated[0]))
    places = " and ".join(dict.fromkeys(rows["uri"].to_pylist()[:2]))
    listed = " and ".join(list(_labels_of(repeated[0], read, folder))[:2])
    raise DataError(
        f"The image {repeated[0]!r} is listed {many[0]['counts']} times (by {listed}; it is "
        f"{places})"
        + (f", and so are {len(repeated) - 1} more" if len(repeated) > 1 else "")
        + "; list each image once."
    )


def _labels_of(image_id: str, read: Sequence[_Read], folder: Path) -> Iterator[str]:
    """The label files, with their records, that list an image."""
    for found in read:
        for part in found.parts:
            images, _, _ = parts.read_part(part.key, folder)
            images = _with_id(images, found.prefix + part.below)
            yield from images.filter(pc.equal(images["image_id"], image_id))["source"].to_pylist()


def _place(images: pa.Table, boxes: pa.Table, path: Path) -> pa.Table:
    """Fills the columns `split` and `group`, and remembers them.

    A split that a source gives stands; one that was given before stays, by the image's id or by its
    content; then comes what is published.

    Args:
        images: as `_PLACED`.
        boxes: `image_id` and `label` of all boxes.
        path: of the memory of splits, which is replaced.

    Returns:
        The images as `schema.IMAGES`.

    """
    earlier = kept_splits.learned_by(kept_splits.remembered(path))
    known = pc.index_in(images["image_id"], value_set=earlier["image_id"])
    content = pc.if_else(pc.equal(images["sha256"], ""), None, images["sha256"])  # "": unreadable
    known = pc.coalesce(known, pc.index_in(content, value_set=earlier["sha256"]))
    before = earlier["split"].take(known)
    held_out = pc.fill_null(pc.equal(images[_PUBLISHED], published.HELD_OUT), False)
    said = pc.if_else(held_out, None, images[_PUBLISHED])
    splits = pc.coalesce(images["split"], before, said)
    _report_published(images, pc.not_equal(before, said), splits)
    if splits.null_count:
        logger.info("finding near-duplicate images, and splits that keep them together")
        keys = pc.if_else(pc.equal(images["sha256"], ""), images["image_id"], images["sha256"])
        settled = pc.index_in(splits, value_set=pa.array(schema.SPLITS))
        settled = pc.coalesce(settled, pc.if_else(held_out, HELD_OUT, OPEN))
        placed, named = place(
            Candidates(
                keys=_ranks(keys),
                groups=_ranks(images["group"]),
                bits=_bits(images["phash"], keys),
                counts=_counts(images, boxes),
                splits=settled.to_numpy().astype(np.int64),
            )
        )
        splits = pa.array(schema.SPLITS).take(pa.array(placed))
        groups = images["group"].take(pa.array(named))
    elif images["split"].null_count:  # all were placed before
        groups = pc.coalesce(earlier["group"].take(known), images["group"])
    else:
        groups = images["group"]
    for name, column in (("split", splits), ("group", groups)):
        images = images.set_column(
            images.column_names.index(name), kept_splits.SCHEMA.field(name), column
        )
    if images[_PUBLISHED].null_count < images.num_rows:
        for sentence in published.missing(images):
            logger.warning(sentence)
    images = images.select(schema.IMAGES.names)
    now = images.select(kept_splits.SCHEMA.names)
    gone = pc.invert(pc.is_in(earlier["image_id"], value_set=now["image_id"]))
    with replacing(path) as draft:
        kept_splits.write(pa.concat_tables([earlier.filter(gone), now]), draft)
    return images


def _report_published(
    images: pa.Table,
    differ: pa.ChunkedArray,
    splits: pa.ChunkedArray,
) -> None:
    """Says where published splits do not hold, for that images had others before."""
    differ = pc.and_(pc.fill_null(differ, False), pc.is_null(images["split"]))
    count = pc.sum(differ).as_py() or 0
    if count:
        first = differ.index(True).as_py()
        logger.warning(
            f"{count} image{' keeps its split' if count == 1 else 's keep their splits'} of before "
            f"instead of the published (the first: {images['image_id'][first]}, {splits[first]}): "
            "no image that a model was trained on judges the next one"
        )


def _ranks(names: pa.ChunkedArray) -> Any:
    """Numbers in the order of the names, without an object for each name."""
    return pc.rank(names, tiebreaker="dense").to_numpy().astype(np.int64)


def _bits(phashes: pa.ChunkedArray, keys: pa.ChunkedArray) -> Bits:
    """The perceptual hashes; an image that can't be read has one like no other's, from its key."""
    texts = phashes.combine_chunks()
    unreadable = pc.equal(texts, "")
    own = [hashlib.sha256(k.encode()).hexdigest() for k in keys.filter(unreadable).to_pylist()]
    texts = pc.replace_with_mask(texts, unreadable, pa.array(own, pa.string()))
    return hash_bits([str(text_of(texts), "ascii")])


def _counts(images: pa.Table, boxes: pa.Table) -> Any:
    """[images, classes] boxes."""
    labels = boxes["label"].unify_dictionaries().combine_chunks()
    counts = np.zeros((images.num_rows, max(len(labels.dictionary), 1)), np.int64)
    rows = pc.index_in(boxes["image_id"], value_set=images["image_id"]).to_numpy()
    np.add.at(counts, (rows, labels.indices.to_numpy()), 1)
    return counts


def content_hash(images: pa.Table, boxes: pa.Table) -> str:
    """SHA-256 of what the tables say, whatever the order of rows or the place of the files."""
    digest = hashlib.sha256()
    if "unlabelled" in images.column_names:
        partly = images.filter(pc.greater(pc.list_value_length(images["unlabelled"]), 0))
        for row in partly.select(["image_id", "unlabelled"]).sort_by("image_id").to_pylist():
            digest.update(json.dumps(row).encode())
    for table, names in (
        (images, ["image_id", "sha256", "split", "group", "tag"]),
        (boxes, ["image_id", "label", "xmin", "ymin", "xmax", "ymax", "is_crowd", "difficult"]),
    ):
        if "label" in names:  # as text: a dictionary's numbers say nothing
            index = table.column_names.index("label")
            table = table.set_column(index, "label", table["label"].cast(pa.string()))
        order = pc.sort_indices(table, [(name, "ascending") for name in names])
        blocks = [order[start : start + _ROW_GROUP] for start in range(0, len(order), _ROW_GROUP)]
        for name in names:
            column = table[name].combine_chunks()
            is_text = column.type == pa.string()
            for block in blocks:
                rows = column.take(block)
                rows = pc.binary_length(rows) if is_text else rows
                digest.update(rows.to_numpy(zero_copy_only=False).tobytes())
            for block in blocks if is_text else ():
                digest.update(text_of(column.take(block)))
            release_unused()
    return digest.hexdigest()


def fingerprint(sources: Iterable[Source]) -> str:
    """A cheap hash that changes when the sources may have: names, sizes and times, nothing read.

    Args:
        sources: as the config has them.

    Returns:
        SHA-256, hexadecimal.

    Raises:
        DataError: a source is not there.

    """
    digest = hashlib.sha256()
    for source in sources:
        if not os.path.exists(source.path):
            near = did_you_mean_path(source.path)
            raise DataError(f"{source.path}: there is no such file{near}; check `data.sources`.")
        asked = (source.split, source.tag, source.format, source.group)
        digest.update(repr((*asked, source.labelled_for, source.split_from)).encode())
        layout = look(source.path, source.format, source.images)
        for path in (*files_of(layout), *filter(None, [source.label_map])):
            digest.update(repr((str(path), state(path))).encode())
    return digest.hexdigest()
