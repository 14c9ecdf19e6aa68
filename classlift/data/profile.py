"""The class mix and the box sizes of a data set, to compare with another one's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd

SIZES = ("below 1%", "1 to 2%", "2 to 5%", "5 to 10%", "10 to 20%", "20 to 50%", "50% and more")
_SIZE_BORDERS = (0.01, 0.02, 0.05, 0.10, 0.20, 0.50)
"""Borders of the sizes: the square root of the share of the image that a box covers."""


@dataclass(frozen=True)
class Profile:
    """The class mix and the box sizes of a data set: counts by class and by `SIZES`."""

    classes: dict[str, int]
    sizes: dict[str, int]

    @classmethod
    def of(cls, images: pa.Table, boxes: pa.Table) -> "Profile":
        """From `schema.IMAGES` and `schema.BOXES`."""
        frame = joined(images, boxes)
        classes = frame["label"].value_counts().sort_index().to_dict()
        sizes = size_names(frame).value_counts().to_dict()
        return cls(
            {str(label): int(count) for label, count in classes.items()},
            {name: int(sizes.get(name, 0)) for name in SIZES},
        )

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Profile":
        """From its `vars`."""
        return cls(dict(record["classes"]), dict(record["sizes"]))


def joined(images: pa.Table, boxes: pa.Table) -> "pd.DataFrame":
    """The boxes with `uri`, `width`, `height`, `split` and `group` of their images."""
    frame = boxes.to_pandas()
    frame["label"] = frame["label"].astype(str)
    columns = images.select(["image_id", "uri", "width", "height", "split", "group"]).to_pandas()
    with_images: pd.DataFrame = frame.merge(columns, on="image_id", how="left")
    return with_images


def size_names(boxes: "pd.DataFrame") -> "pd.Series":
    """The name in `SIZES` of each box's size; boxes without an area are of the smallest."""
    import pandas as pd  # a third of a second, for those who write Examples alone

    width, height = boxes["xmax"] - boxes["xmin"], boxes["ymax"] - boxes["ymin"]
    area = (width * height / (boxes["width"] * boxes["height"])).to_numpy(np.float64)
    with np.errstate(invalid="ignore"):
        side = np.sqrt(np.nan_to_num(np.clip(area, 0, None), posinf=1.0))
    return pd.Series(np.array(SIZES)[np.digitize(side, _SIZE_BORDERS)], index=boxes.index)
