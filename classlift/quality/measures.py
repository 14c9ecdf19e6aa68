"""What a rule needs and a row alone does not show: repeated boxes, twins across splits."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from classlift.data.copies import Copy, FindCopies, Picture
from classlift.data.duplicates import hash_bits, nearest_twins
from classlift.data.geometry import SIDES
from classlift.data.schema import SPLITS
from classlift.metrics.iou import iou

_OF_PICTURE = ["image_id", "uri", "sha256", "width", "height", "phash"]
"""The columns of a `Picture`."""


def repeated_iou(boxes: pd.DataFrame) -> npt.NDArray[np.float64]:
    """For each box the largest IoU with an earlier one of its class in its image, else 0."""
    largest = np.zeros(len(boxes))
    same = boxes.groupby(["image_id", "label"], sort=False, observed=True).indices.values()
    order = np.concatenate([np.empty(0, np.intp), *same])
    corners = boxes[SIDES].to_numpy(np.float64)[order]
    sizes = np.array([len(rows) for rows in same], np.intp)
    place = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    rows, before = np.flatnonzero(place), 1
    while len(rows):  # each with the one before it, then with the one before that one
        overlap = np.nan_to_num(iou(corners[rows], corners[rows - before]))
        largest[order[rows]] = np.maximum(largest[order[rows]], overlap)
        before += 1
        rows = rows[place[rows] >= before]
    return largest


@dataclass(frozen=True)
class Twin:
    """The near duplicate in train of an image of eval or test: bits that differ, and its id."""

    distance: int
    image_id: str


def train_twins(images: pd.DataFrame) -> dict[int, Twin]:
    """For each row of `images` in eval or test that has near duplicates in train: the nearest."""
    seen = images["phash"] != ""
    train = images.index[seen & (images["split"] == SPLITS[0])]
    held = images.index[seen & (images["split"] != SPLITS[0])]
    bits, others = (hash_bits(images.loc[rows, "phash"].tolist()) for rows in (held, train))
    found, distances = nearest_twins(bits, others)
    has = found >= 0
    names = images.loc[train, "image_id"].to_numpy()[found[has]]
    return {
        int(row): Twin(int(distance), str(name))
        for row, distance, name in zip(held[has], distances[has], names, strict=True)
    }


def train_copies(images: pd.DataFrame, find: FindCopies) -> list[Copy]:
    """The images of eval and test that are images of train saved anew, mirrored or cropped."""
    pictures = [
        Picture(*values) for values in zip(*(images[name] for name in _OF_PICTURE), strict=True)
    ]
    in_train = (images["split"] == SPLITS[0]).tolist()
    return find(
        [picture for picture, trained in zip(pictures, in_train, strict=True) if not trained],
        [picture for picture, trained in zip(pictures, in_train, strict=True) if trained],
    )
