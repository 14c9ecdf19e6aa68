"""What is wrong with boxes as they stand: no place, no area, or a place outside of their image.

All functions take the sides of boxes, [boxes, 4]: xmin, ymin, xmax, ymax in pixels.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

SIDES = ["xmin", "ymin", "xmax", "ymax"]

Floats = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]


def sides_of(boxes: pa.Table) -> Floats:
    """[boxes, 4] the sides in a table with `schema.BOXES`."""
    return np.stack([boxes[side].to_numpy() for side in SIDES], axis=1)


def has_place(sides: Floats) -> Mask:
    """Tells which boxes have a place: those whose four sides are numbers.

    Args:
        sides: [boxes, 4], pixels.

    Returns:
        [boxes].

    >>> has_place(np.array([[0, 0, 4, 3], [0, 0, np.nan, 3], [0, 0, np.inf, 3]])).tolist()
    [True, False, False]

    """
    return np.asarray(np.isfinite(sides).all(axis=1), np.bool_)


def shorter_side(sides: Floats) -> Floats:
    """The width or the height of boxes, whichever is less.

    Args:
        sides: [boxes, 4], pixels.

    Returns:
        [boxes], pixels; negative where sides are in the wrong order, NaN without a place.

    >>> shorter_side(np.array([[0.0, 0.0, 4.0, 3.0], [5.0, 0.0, 4.0, 3.0]])).tolist()
    [3.0, -1.0]

    """
    with np.errstate(invalid="ignore"):  # infinite sides
        lengths = (sides[:, 2:] - sides[:, :2]).min(axis=1)
    return np.where(has_place(sides), lengths, np.nan)


def outside(sides: Floats, extents: Floats) -> Floats:
    """By how much boxes leave their image, at the side where they do so most.

    Args:
        sides: [boxes, 4], pixels.
        extents: [boxes, 2], width and height of each box's image in pixels. Where one is 0, nothing
            is known of it.

    Returns:
        [boxes], pixels; 0 inside of the image, or where its size is not known; NaN without a place.

    >>> outside(np.array([[-1.0, 0.0, 4.0, 3.0], [0.0, 0.0, 4.0, 3.0]]), np.array([[4, 3]] * 2))
    array([1., 0.])

    """
    bounds = np.concatenate([extents, extents], axis=1).astype(np.float64)
    with np.errstate(invalid="ignore"):
        beyond = np.abs(sides - np.clip(sides, 0, bounds)).max(axis=1)
    beyond[(extents == 0).any(axis=1)] = 0
    return np.where(has_place(sides), beyond, np.nan)


def is_bad(sides: Floats, extents: Floats) -> Mask:
    """[boxes] whether a box has no place, no area, or leaves its image; extents as in `outside`."""
    return np.asarray(~((shorter_side(sides) > 0) & (outside(sides, extents) == 0)), np.bool_)
