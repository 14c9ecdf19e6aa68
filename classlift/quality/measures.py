"""What a rule needs and a row alone does not show: repeated boxes, twins across splits."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from classlift.data.copies import Copy, Picture, find_copies
from classlift.data.duplicates import hash_bits, nearest
from classlift.data.geometry import SIDES
from classlift.data.schema import SPLITS
from classlift.metrics.iou import iou_matrix

_OF_PICTURE = ["image_id", "uri", "sha256", "width", "height", "phash"]
"""The columns of a `Picture`."""


def repeated_iou(boxes: pd.DataFrame) -> npt.NDArray[np.float64]:
    """For each box the largest IoU with an earlier one of its class in its image, else 0."""
    largest = np.zeros(len(boxes))
    for rows in boxes.groupby(["image_id", "label"], sort=False).indices.values():
        if len(rows) > 1:
            corners = boxes[SIDES].to_numpy(np.float64)[rows]
            overlap = np.tril(np.nan_to_num(iou_matrix(corners, corners)), k=-1)
            largest[rows] = overlap.max(axis=1)
    return largest


@dataclass(frozen=True)
class Twin:
    """The nearest image of train to one of eval or test: bits that differ, and its id."""

    distance: int
    image_id: str


def train_twins(images: pd.DataFrame) -> dict[int, Twin]:
    """For each row of `images` in eval or test that has a picture: its nearest in train."""
    seen = images["phash"] != ""
    train = images.index[seen & (images["split"] == SPLITS[0])]
    held = images.index[seen & (images["split"] != SPLITS[0])]
    if train.empty or held.empty:
        return {}
    bits = [hash_bits(images.loc[rows, "phash"].tolist()) for rows in (held, train)]
    found, distances = nearest(*bits)
    names = images.loc[train, "image_id"].to_numpy()[found]
    return {
        int(row): Twin(int(distance), str(name))
        for row, distance, name in zip(held, distances, names, strict=True)
    }


def train_copies(images: pd.DataFrame) -> list[Copy]:
    """The images of eval and test that are images of train saved anew, mirrored or cropped."""
    pictures = [
        Picture(*values) for values in zip(*(images[name] for name in _OF_PICTURE), strict=True)
    ]
    in_train = (images["split"] == SPLITS[0]).tolist()
    return find_copies(
        [picture for picture, trained in zip(pictures, in_train, strict=True) if not trained],
        [picture for picture, trained in zip(pictures, in_train, strict=True) if trained],
    )
