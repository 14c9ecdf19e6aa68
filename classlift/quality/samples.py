"""Healthy labels of each class, to look at: small ones, middling ones, large ones."""

import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
from PIL import Image

from classlift.data.images import UNREADABLE, eight_bit
from classlift.data.media import read_bytes
from classlift.errors import DataError
from classlift.pages import THUMBNAIL, Picture, draw_box, thumbnail
from classlift.quality.rules import REPEATED_IOU

OF_A_CLASS = 6
IN_ALL = 240
"""Pictures: each is a file to read, and some kilobytes of the page."""

_CONTEXT = 0.6  # of the longer side of the box, on each side of it
_HEALTHY = "#2f9e44"


def samples(
    boxes: pd.DataFrame, names: Sequence[str], uris: Mapping[str, str]
) -> dict[str, list[Picture]]:
    """Pictures of boxes without a fault.

    Args:
        boxes: the validator's frame.
        names: of the classes; with very many, those with the most boxes are shown.
        uris: of the images that can be read, by image_id.

    Returns:
        The pictures by class, from the smallest box to the largest.

    """
    healthy = boxes[
        (boxes["side"] >= 1)
        & (boxes["outside"] == 0)
        & (boxes["repeated_iou"] <= REPEATED_IOU)
        & ~boxes["is_crowd"].astype(bool)
        & boxes["image_id"].isin(list(uris))
    ]
    counts = healthy["label"].value_counts()
    of_each = min(OF_A_CLASS, max(1, IN_ALL // max(len(names), 1)))
    chosen = [
        row
        for name in counts.index[: IN_ALL // of_each]
        for row in _spread(healthy[healthy["label"] == name], of_each).to_dict("records")
    ]
    with ThreadPoolExecutor() as pool:
        shown = pool.map(lambda row: _picture(row, uris[row["image_id"]]), chosen)
        found: dict[str, list[Picture]] = {}
        for row, picture in zip(chosen, shown, strict=True):
            if picture is not None:
                found.setdefault(row["label"], []).append(picture)
    return found


def _spread(boxes: pd.DataFrame, count: int) -> pd.DataFrame:
    """So many rows, evenly spread over the sizes."""
    area = (boxes["xmax"] - boxes["xmin"]) * (boxes["ymax"] - boxes["ymin"])
    order = np.argsort(area.to_numpy(), kind="stable")
    count = min(count, len(order))
    places = ((np.arange(count) + 0.5) / count * len(order)).astype(int)
    chosen: pd.DataFrame = boxes.iloc[order[places]]
    return chosen


def _picture(row: Mapping[str, float], uri: str) -> Picture | None:
    """The surroundings of a box, with its outline; None where the file is gone meanwhile."""
    corners = np.array([row[side] for side in ("xmin", "ymin", "xmax", "ymax")], float)
    margin = _CONTEXT * max(corners[2] - corners[0], corners[3] - corners[1])
    view = corners + np.array([-margin, -margin, margin, margin])
    try:
        with Image.open(io.BytesIO(read_bytes(uri))) as image:
            width, height = image.size
            if (width, height) != (row["width"], row["height"]):
                return None  # a finding of its own: the box is for another view of it
            needed = min(1.0, THUMBNAIL / max(view[2] - view[0], view[3] - view[1]))
            # A JPEG is decoded no larger than the thumbnail needs.
            image.draft("RGB", (int(np.ceil(width * needed)), int(np.ceil(height * needed))))
            pixels = eight_bit(image).convert("RGB")
    except (*UNREADABLE, DataError):
        return None
    scale = np.array([pixels.width / width, pixels.height / height] * 2)
    extents = np.array([pixels.width, pixels.height] * 2)
    crop = np.clip(np.round(view * scale), 0, extents).astype(int)
    part = pixels.crop((crop[0], crop[1], max(crop[2], crop[0] + 1), max(crop[3], crop[1] + 1)))
    draw_box(part, corners * scale - np.tile(crop[:2], 2), _HEALTHY)
    return Picture(thumbnail(part, photograph=True), str(row["source"]))
