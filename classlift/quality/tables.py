"""A snapshot's boxes and images with the columns that the rules ask for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from classlift.data.geometry import SIDES, outside, shorter_side
from classlift.data.profile import joined, size_names
from classlift.data.snapshot import Snapshot
from classlift.quality.measures import repeated_iou, train_twins
from classlift.quality.spelling import meant


@dataclass(frozen=True)
class Tables:
    """What is checked.

    Attributes:
        boxes: `schema.BOXES` and, of the image, `width`, `height`, `split`, `uri`; the shorter
            `side`, which is not given without a place, the side of `thin` ones, below a pixel, and
            by how much it is `outside` of the image, in pixels; the largest `repeated_iou` with an
            earlier box; the name of the `size`; the class of the label map that is `meant`, where
            the label differs from it only in case or blanks.
        images: `schema.IMAGES` and its number of `boxes`; `twin`, the nearest of the near
            duplicates in train, and the `twin_distance` to it in bits; `splits_of_sha256` and
            `splits_of_group`.

    """

    boxes: pd.DataFrame
    images: pd.DataFrame

    @classmethod
    def of(cls, snapshot: Snapshot, labels: Sequence[str]) -> "Tables":
        """The tables of a snapshot; labels: the names of the label map."""
        boxes, images = joined(snapshot.images, snapshot.boxes), snapshot.images.to_pandas()
        sides = boxes[SIDES].to_numpy(np.float64)
        boxes["side"] = shorter_side(sides)
        boxes["thin"] = boxes["side"].where(boxes["side"].between(0, 1, inclusive="neither"))
        boxes["outside"] = outside(sides, boxes[["width", "height"]].to_numpy(np.float64))
        boxes["meant"] = boxes["label"].map(meant(boxes["label"].unique(), labels)).fillna("")
        with np.errstate(all="ignore"):  # infinite sides: the rules name them
            boxes["repeated_iou"] = repeated_iou(boxes)
            boxes["size"] = size_names(boxes)
        counts = boxes["image_id"].value_counts()
        images["boxes"] = images["image_id"].map(counts).fillna(0).astype(int)
        twins = train_twins(images)
        images["twin_distance"] = pd.Series(
            {row: float(t.distance) for row, t in twins.items()}, dtype=float
        )
        images["twin"] = pd.Series({row: t.image_id for row, t in twins.items()}, dtype=object)
        for key in ("sha256", "group"):
            sides = images[images[key] != ""].groupby(key)["split"].nunique()
            images[f"splits_of_{key}"] = images[key].map(sides).fillna(1).astype(int)
        return cls(boxes, images)
