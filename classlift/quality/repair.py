"""A repaired copy of labelled data: what can be mended is, the rest is left out, and all is listed.

The source is never touched. What only a person can know (a missing image, a repeated id, a class
that nobody named) stays a finding of the source.
"""

import io
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image, ImageOps

from classlift.data import schema
from classlift.data.formats.collected import ORPHAN
from classlift.data.geometry import SIDES
from classlift.data.images import ABSENT, TURNED
from classlift.data.problems import ImageProblem
from classlift.data.profile import joined
from classlift.data.snapshot import Snapshot
from classlift.data.unusable import UNCLEAR, UNREAD
from classlift.data.writers import copy_images, new_folder, write_coco_splits
from classlift.errors import DataError
from classlift.quality.measures import repeated_iou
from classlift.quality.rules import REPEATED_IOU
from classlift.quality.spelling import meant

logger = logging.getLogger(__name__)

CHANGES = "changes.json"
MIN_SIDE = 1.0
"""In pixels: what is smaller after clipping is dropped."""


@dataclass(frozen=True)
class Change:
    """One change: of which record, what was done and why."""

    source: str
    action: str
    reason: str


def repair(
    snapshot: Snapshot,
    labels: Sequence[str],
    folder: Path,
) -> list[Change]:
    """Writes a repaired copy as COCO JSON with its images to a new folder.

    Images that can't be used are left out with their boxes, but for those that Exif turns, whose
    pixels are turned. Of images that are there twice, the first stays. Images that need no edit are
    hard links where the file system has them. Boxes are ordered, clipped to their image, and
    dropped where nothing of them is left or they repeat another one. A class that differs from one
    of `labels` only in case or blanks is renamed; boxes of any other class stay as they are, for
    what is in the picture without a box would be taught as background. Published splits stand, each
    in a JSON file of its own. `changes.json` lists it all.

    Args:
        snapshot: to repair.
        labels: the classes of the label map, in the order of their ids.
        folder: to write.

    Returns:
        What was changed.

    Raises:
        ConfigError: the folder is there already.
        DataError: nothing would be left, or an image can't be read.

    """
    changes: list[Change] = []
    problems = {
        problem.image_id: problem for problem in snapshot.image_problems() if problem.is_critical
    }
    images, turned = _images(snapshot.images, problems, changes)
    known = set(snapshot.images["image_id"].to_pylist())
    actions = {ORPHAN: "left the box out"}
    actions |= dict.fromkeys((ABSENT, UNCLEAR, UNREAD), "left out what it labels")
    changes += [
        Change(problem.source, action, problem.problem)
        for problem in snapshot.image_problems()
        if (action := actions.get(problem.rule)) and problem.image_id not in known
    ]
    boxes = _boxes(images, snapshot.boxes, labels, changes)
    if not images.num_rows:
        raise DataError("No image can be kept: the data can't be repaired.")
    with new_folder(folder) as draft:
        edits = {image_id: _upright for image_id in turned}
        copied = copy_images(images, draft, edits, link=True)
        names = dict.fromkeys([*labels, *sorted(boxes["label"].unique().to_pylist())])
        ids = {name: number for number, name in enumerate(names, 1)}
        write_coco_splits(copied, boxes, ids, draft, snapshot.is_published)
        text = json.dumps([asdict(change) for change in changes], indent=1)
        (draft / CHANGES).write_text(text)
    logger.info(
        f"{folder}: {images.num_rows} images, {boxes.num_rows} boxes, {len(changes)} changes"
    )
    return changes


def _images(
    images: pa.Table, problems: Mapping[str, ImageProblem], changes: list[Change]
) -> tuple[pa.Table, set[str]]:
    """The images to keep, and the ids of those whose pixels are to be turned."""
    keep, turned = [], set()
    seen: dict[str, str] = {}
    for row in images.select(["image_id", "sha256"]).to_pylist():
        image_id, problem = row["image_id"], problems.get(row["image_id"])
        first = seen.setdefault(row["sha256"], image_id)
        keep.append(False)
        if problem and problem.problem.startswith(TURNED):
            turned.add(image_id)
            changes.append(Change(problem.source, "turned its pixels", problem.problem))
            keep[-1] = True
        elif problem:
            changes.append(Change(problem.source, "left the image out", problem.problem))
        elif first != image_id:
            changes.append(Change(image_id, "left the image out", f"the same file as {first}"))
        else:
            keep[-1] = True
    return images.filter(pa.array(keep)), turned


def _boxes(
    images: pa.Table, boxes: pa.Table, labels: Sequence[str], changes: list[Change]
) -> pa.Table:
    frame = joined(images, boxes)
    frame = frame[frame["width"].notna()].reset_index(drop=True)  # of images that are kept

    def drop(wrong: Any, reason: str) -> None:
        nonlocal frame
        changes.extend(Change(s, "dropped the box", reason) for s in frame.loc[wrong, "source"])
        frame = frame[~np.asarray(wrong)].reset_index(drop=True)

    names = meant(frame["label"].unique(), labels)
    for label, name in names.items():
        sources = frame.loc[frame["label"] == label, "source"]
        reason = f"{label!r} differs from {name!r} only in case or blanks"
        changes.extend(Change(source, "renamed its class", reason) for source in sources)
    frame["label"] = frame["label"].replace(names)
    drop(~np.isfinite(frame[SIDES].to_numpy()).all(axis=1), "a side is no finite number")
    before = frame[SIDES].to_numpy(np.float32)
    ordered = np.concatenate(
        [np.minimum(before[:, :2], before[:, 2:]), np.maximum(before[:, :2], before[:, 2:])], axis=1
    )
    extents = frame[["width", "height", "width", "height"]].to_numpy(np.float32)
    clipped = np.clip(ordered, 0, extents)
    for after, was, action, reason in (
        (ordered, before, "ordered the sides", "they were reversed"),
        (clipped, ordered, "clipped the box", "it left its image"),
    ):
        different = (after != was).any(axis=1)
        changes.extend(Change(s, action, reason) for s in frame.loc[different, "source"])
    frame[SIDES] = clipped
    sides = pd.DataFrame(
        {"w": frame["xmax"] - frame["xmin"], "h": frame["ymax"] - frame["ymin"]}
    ).min(axis=1)
    drop(sides < MIN_SIDE, f"less than {MIN_SIDE:g} pixel of it is inside the image")
    drop(repeated_iou(frame) > REPEATED_IOU, "it repeats another box of its class")
    table = pa.Table.from_pandas(frame[schema.BOXES.names], preserve_index=False)
    return table.cast(schema.BOXES.set(2, pa.field("label", pa.string()))).cast(schema.BOXES)


def _upright(data: bytes) -> bytes:
    """The image with its pixels turned as its Exif says, and no Exif."""
    image = Image.open(io.BytesIO(data))
    kind = image.format or "PNG"
    upright = ImageOps.exif_transpose(image)
    upright.info.pop("exif", None)
    buffer = io.BytesIO()
    upright.save(buffer, kind, **({"quality": 95, "subsampling": 0} if kind == "JPEG" else {}))
    return buffer.getvalue()
