"""How far the boxes of a source reach: by that, sides in a wrong unit are told.

Some programs write shares of the image where a format has pixels, others pixels where it has
shares. Read as they stand, all boxes are specks in a corner, or lie beside their images.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from classlift.data.geometry import Floats, has_place
from classlift.errors import DataError


@dataclass
class Reach:
    """Counts of the boxes of a source that have a place.

    Attributes:
        boxes: all of them.
        within_a_pixel: those that lie within the first pixel of their image.
        beside: those that lie wholly beside their image.

    """

    boxes: int = 0
    within_a_pixel: int = 0
    beside: int = 0

    def add(self, sides: Floats, extents: Floats) -> None:
        """Counts boxes.

        Args:
            sides: [boxes, 4], pixels.
            extents: [boxes, 2], width and height of each box's image in pixels; 0 where they are
                not known.

        """
        placed = has_place(sides)
        sides, extents = sides[placed], extents[placed]
        known = (extents > 0).all(axis=1)
        self.boxes += len(sides)
        self.within_a_pixel += int((np.abs(sides) <= 1).all(axis=1).sum())
        self.beside += int(((sides[:, :2] >= extents).any(axis=1) & known).sum())

    def require_unit(self, path: Path, title: str, in_shares: bool) -> None:
        """Refuses a source whose sides are in another unit than its format has.

        Args:
            path: of the source.
            title: of the format.
            in_shares: whether it has shares of the image, and not pixels.

        Raises:
            DataError: no box leaves the first pixel; or, where shares are expected, most boxes lie
                beside their images.

        """
        if not in_shares and self.boxes and self.within_a_pixel == self.boxes:
            raise DataError(
                f"{path}: no side of a box is more than 1, so they are shares of the image, and "
                f"{title} has pixels; multiply them by its width and height."
            )
        if in_shares and self.beside > self.boxes / 2:
            raise DataError(
                f"{path}: {self.beside:,} of {self.boxes:,} boxes lie wholly beside their images, "
                f"so their sides are pixels, and {title} has shares of the image, from 0 to 1; "
                "divide them by its width and height."
            )
