"""Boxes around shapes: polygons, turned rectangles, circles and ellipses.

All in pixels, x to the right and y down, so that angles run clockwise.
"""

import math
from collections.abc import Iterable

from classlift.data.labels import NO_PLACE, Corners

ENCLOSED = "labels are boxes; around other shapes, the enclosing box is taken"
LEFT_OUT = "labels are boxes, or shapes that have an area; others are left out"
"""What is said of images with other shapes."""


def around(points: Iterable[tuple[float, float]]) -> Corners:
    """The box that encloses points; `NO_PLACE` of none, or where one is no number.

    >>> around([(3, 1), (0, 2), (5, 9)])
    (0, 1, 5, 9)
    """
    found = list(points)
    if not found or not all(math.isfinite(value) for point in found for value in point):
        return NO_PLACE
    xs, ys = zip(*found, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def around_turned(
    corners: Corners, degrees: float, pivot: tuple[float, float] | None = None
) -> Corners:
    """The box that encloses a rectangle which is turned clockwise around a point, its centre by
    default.

    >>> [round(side, 9) for side in around_turned((0, 0, 4, 2), 90)]
    [1.0, -1.0, 3.0, 3.0]
    """
    xmin, ymin, xmax, ymax = corners
    x, y = pivot or ((xmin + xmax) / 2, (ymin + ymax) / 2)
    if not math.isfinite(degrees):
        return NO_PLACE
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return around(
        (x + (px - x) * cosine - (py - y) * sine, y + (px - x) * sine + (py - y) * cosine)
        for px, py in ((xmin, ymin), (xmax, ymin), (xmax, ymax), (xmin, ymax))
    )


def around_ellipse(
    centre: tuple[float, float], radii: tuple[float, float], degrees: float = 0.0
) -> Corners:
    """The box that encloses an ellipse, whose first radius lies `degrees` clockwise of the x axis.

    >>> [round(side, 9) for side in around_ellipse((10, 10), (4, 2), 90)]
    [8.0, 6.0, 12.0, 14.0]
    """
    if not all(map(math.isfinite, (*centre, *radii, degrees))):
        return NO_PLACE
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    dx = math.hypot(radii[0] * cosine, radii[1] * sine)
    dy = math.hypot(radii[0] * sine, radii[1] * cosine)
    return centre[0] - dx, centre[1] - dy, centre[0] + dx, centre[1] + dy
