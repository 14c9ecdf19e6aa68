"""Formats out: a data set of its own, with copies of its images, for other tools and for us."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from classlift.data import schema
from classlift.data.examples import Row, to_example
from classlift.data.formats import parquet
from classlift.data.formats.coco import ANNOTATIONS, write_coco
from classlift.data.images import SUFFIXES, for_tensorflow
from classlift.data.label_map import LabelMap
from classlift.data.media import file_of, read_bytes
from classlift.errors import ConfigError, DataError
from classlift.paths import inside


def require_new(path: Path) -> None:
    """Raises ConfigError when something is there."""
    if os.path.lexists(path):
        raise ConfigError(f"{path}: something is there already; name a new folder.")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A draft of a folder that must not be there yet: it appears whole, or not at all.

    Args:
        path: of the folder; those above it are made.

    Yields:
        An empty folder beside it, which gets its name at the end.

    Raises:
        ConfigError: something is there, or has come meanwhile.
        OSError: the draft can't be renamed.

    """
    require_new(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    draft.mkdir()
    try:
        yield draft
        try:
            draft.rename(path)
        except OSError:
            require_new(path)  # somebody made it meanwhile
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


class Writer(Protocol):
    """Writes a data set to a folder that is there."""

    def __call__(
        self,
        images: pa.Table,
        boxes: pa.Table,
        label_map: LabelMap,
        folder: Path,
        is_published: bool = False,
    ) -> None:
        """Writes it.

        Args:
            images: `schema.IMAGES`.
            boxes: `schema.BOXES`.
            label_map: the classes and their ids.
            folder: to write into.
            is_published: the splits of the images are to stand, for whoever reads the folder.

        """


def write_coco_folder(
    images: pa.Table,
    boxes: pa.Table,
    label_map: LabelMap,
    folder: Path,
    is_published: bool = False,
) -> None:
    """`annotations.json`, or a file for each published split, and the images beside it."""
    ids = {name: label_map.id_of(name) for name in label_map}
    write_coco_splits(copy_images(images, folder), boxes, ids, folder, is_published)


def write_coco_splits(
    images: pa.Table, boxes: pa.Table, ids: Mapping[str, int], folder: Path, is_published: bool
) -> None:
    """Writes `annotations.json`, or, where splits are published, a file for each of them.

    Args:
        images: `schema.IMAGES`, with paths from the folder on as `uri`.
        boxes: `schema.BOXES`.
        ids: of the classes, by name.
        folder: to write into.
        is_published: the splits of the images are to stand.

    """
    for split, part in _by_split(images, is_published):
        of_part = boxes.filter(pc.is_in(boxes["image_id"], part["image_id"].combine_chunks()))
        write_coco(part, of_part, ids, folder / (f"{split}.json" if split else ANNOTATIONS))


def _by_split(images: pa.Table, is_published: bool) -> Iterator[tuple[str | None, pa.Table]]:
    """The images of each split by its name, or all of them by none."""
    if not is_published:
        yield None, images
        return
    for split in schema.SPLITS:
        part = images.filter(pc.equal(images["split"], split))
        if part.num_rows:
            yield split, part


def write_parquet_folder(
    images: pa.Table,
    boxes: pa.Table,
    label_map: LabelMap,
    folder: Path,
    is_published: bool = False,
) -> None:
    """`images.parquet` and `boxes.parquet`, the images beside them, and the label map."""
    copied = copy_images(images, folder)
    if not is_published:  # what we spread may be spread anew
        place = copied.schema.get_field_index("split")
        copied = copied.set_column(place, "split", pa.nulls(copied.num_rows, pa.string()))
    for table, name in ((copied, parquet.IMAGES), (boxes, parquet.BOXES)):
        pq.write_table(table, folder / name, write_page_checksum=True)
    label_map.write(folder / "label_map.pbtxt")


def write_tfrecord_folder(
    images: pa.Table,
    boxes: pa.Table,
    label_map: LabelMap,
    folder: Path,
    is_published: bool = False,
) -> None:
    """`data.record`, or a file for each published split, in the OD API's layout, and its label
    map.
    """
    from classlift.data.formats.tfrecord import write_record

    by_image: dict[str, list[Row]] = {}
    for row in boxes.to_pylist():
        by_image.setdefault(row["image_id"], []).append(row)
    for split, part in _by_split(images, is_published):
        with (folder / f"{split or 'data'}.record").open("wb") as out:
            for row in part.to_pylist():
                found = by_image.get(row["image_id"], [])
                encoded = read_bytes(row["uri"])
                encoded, row["format"] = for_tensorflow(encoded, row["format"], row["uri"])
                row["sha256"] = hashlib.sha256(encoded).hexdigest()
                write_record(out, to_example(row, found, encoded, label_map))
    label_map.write(folder / "label_map.pbtxt")


WRITERS: dict[str, Writer] = {
    "coco": write_coco_folder,
    "parquet": write_parquet_folder,
    "tfrecord": write_tfrecord_folder,
}


def copy_images(
    images: pa.Table,
    folder: Path,
    edits: Mapping[str, Callable[[bytes], bytes]] | None = None,
    link: bool = False,
) -> pa.Table:
    """Copies each image to its id below a folder.

    Args:
        images: `schema.IMAGES`.
        folder: to copy into; it is made where it is missing.
        edits: by image_id, what is to be done to the encoded image on the way.
        link: files that are not edited become hard links, which take no space, where the file
            system has them.

    Returns:
        The table with the new places, from the folder on, as `uri`.

    Raises:
        DataError: two images would become one file, or one can't be read.

    """
    uris = []
    for row in images.select(["image_id", "uri", "format"]).to_pylist():
        name, suffixes = row["image_id"], SUFFIXES[row["format"]]
        if not name.lower().endswith(suffixes):
            name += suffixes[0]
        path = inside(folder, name, row["uri"])
        if path.exists():
            raise DataError(f"{row['uri']}: two images would be copied to {name!r}; rename one.")
        path.parent.mkdir(parents=True, exist_ok=True)
        edit = (edits or {}).get(row["image_id"])
        if not (link and edit is None and _linked(row["uri"], path)):
            data = read_bytes(row["uri"])
            path.write_bytes(data if edit is None else edit(data))
        uris.append(name)
    return images.set_column(images.column_names.index("uri"), "uri", pa.array(uris, pa.string()))


def _linked(uri: str, path: Path) -> bool:
    """Whether an image could be linked: not out of a record, nor to another file system."""
    if file_of(uri) != uri:
        return False
    try:
        os.link(os.path.realpath(uri), path)
    except OSError:  # another file system, one without links, or too many of them
        return False
    return True
