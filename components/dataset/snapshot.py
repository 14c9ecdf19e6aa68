"""The snapshot: the immutable, content-hashed table form of a labelled data set."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.dataset import schema
from components.dataset.formats import folder_of, read_labels
from components.dataset.images import probe
from components.dataset.splits import assign_split
from components.errors import ConfigError, DataError

OLD = "old"
"""The tag of data that the champion was trained on; they are replayed, not new."""

IMAGE_PROBLEMS = pa.schema(
    [("image_id", pa.string()), ("source", pa.string()), ("problem", pa.string())]
)


@dataclass(frozen=True)
class Source:
    """Labels in the config.

    path: a COCO JSON file, a Pascal VOC or YOLO folder, or a TFRecord file of the OD API.
    split: `train`, `eval` or `test`; None spreads the images over all three by content.
    tag: `old` for what the champion was trained on, `new` otherwise.
    format: a name of `components.dataset.formats.READERS`; None tells it by looking.
    """

    path: Path
    split: str | None = None
    tag: str = "new"
    format: str | None = None

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], root: Path) -> "Source":
        """From the config's mapping; a relative path is below `root`."""
        return cls(
            root / record["path"],
            record.get("split"),
            record.get("tag", "new"),
            record.get("format"),
        )

    def prefix(self) -> str:
        """What the ids of this source's images begin with: its folder's name, or its record's."""
        name = self.path.name if _holds_images(self.path) else self.path.parent.name
        return f"{name}/"


def _holds_images(path: Path) -> bool:
    """Whether the images are in or below the path itself, not beside it."""
    return path.suffix != ".json"


@dataclass(frozen=True)
class Snapshot:
    """Tables with the schemas of `components.dataset.schema`, and a hash of what they say.

    problems: images that can't be used and why (image_id, source, problem); the validator's.
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


def take_snapshot(sources: Iterable[Source], report: Callable[[str], None] = print) -> Snapshot:
    """Reads all sources, looks at every image, and hashes the content.

    Raises DataError when labels can't be read or nothing is in them, and ConfigError when two
    sources would give two images one id.
    """
    rows: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    problems: list[dict[str, Any]] = []
    prefixes: set[str] = set()
    for source in sources:
        prefix = source.prefix()
        if prefix in prefixes:
            raise ConfigError(
                f"{source.path}: another source has the same name {prefix!r}, "
                "so image ids would collide; rename one of the folders."
            )
        prefixes.add(prefix)
        labels = read_labels(source.path, source.format)
        report(f"{source.path}: {len(labels.images)} images, {len(labels.boxes)} boxes")
        with ThreadPoolExecutor() as pool:  # decoding and hashing release the GIL
            facts = pool.map(probe, [image.uri for image in labels.images])
            for image, found in zip(labels.images, facts, strict=True):
                image_id = prefix + image.file_name
                problem = found.problem
                width, height = image.width or found.width, image.height or found.height
                if not problem and (found.width, found.height) != (width, height):
                    problem = (
                        f"image has the size that its labels claim ({width}x{height}): "
                        f"it is {found.width}x{found.height}"
                    )
                if problem:
                    problems.append(
                        {"image_id": image_id, "source": image.source, "problem": problem}
                    )
                rows.append(
                    {
                        "image_id": image_id,
                        "uri": image.uri,
                        "sha256": found.sha256,
                        "width": width,
                        "height": height,
                        "format": found.format,
                        "split": source.split or assign_split(found.sha256),
                        "group": image_id,
                        "phash": found.phash,
                        "tag": source.tag,
                    }
                )
        for box in labels.boxes:
            xmin, ymin, xmax, ymax = box.box
            boxes.append(
                {
                    "image_id": prefix + box.file_name,
                    "box_id": len(boxes),
                    "label": box.label,
                    "xmin": xmin,
                    "ymin": ymin,
                    "xmax": xmax,
                    "ymax": ymax,
                    "is_crowd": box.is_crowd,
                    "difficult": box.difficult,
                    "source": box.source,
                }
            )
    if not rows:
        raise DataError("The data have no images: name at least one source that has some.")
    images_table = pa.Table.from_pylist(rows, schema.IMAGES)
    boxes_table = pa.Table.from_pylist(boxes, schema.BOXES)
    return Snapshot(
        images_table,
        boxes_table,
        pa.Table.from_pylist(problems, IMAGE_PROBLEMS),
        content_hash(images_table, boxes_table),
    )


def content_hash(images: pa.Table, boxes: pa.Table) -> str:
    """SHA-256 of what the tables say, whatever the order of rows or the place of the files."""
    digest = hashlib.sha256()
    for table, columns in (
        (images, ("image_id", "sha256", "split", "group", "tag")),
        (boxes, ("image_id", "label", "xmin", "ymin", "xmax", "ymax", "is_crowd", "difficult")),
    ):
        for row in sorted(zip(*(table.column(name).to_pylist() for name in columns), strict=True)):
            digest.update(repr(row).encode())
    return digest.hexdigest()


def fingerprint(sources: Iterable[Source]) -> str:
    """A cheap hash that changes when the sources may have: names, sizes and times, nothing read.

    Raises DataError when a source is not there.
    """
    digest = hashlib.sha256()
    for source in sources:
        if not source.path.exists():
            raise DataError(f"{source.path}: there is no such file; check `data.sources`.")
        digest.update(repr((source.split, source.tag, source.format)).encode())
        for path in sorted(p for p in folder_of(source.path).rglob("*") if p.is_file()):
            stat = path.stat()
            digest.update(repr((str(path), stat.st_size, stat.st_mtime_ns)).encode())
    return digest.hexdigest()
