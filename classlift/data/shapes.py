"""Boxes around shapes: polygons, turned rectangles, circles and ellipses.

All in pixels, x to the right and y down, so that angles run clockwise.
"""

import math
from collections.abc import Iterable

from classlift.data.labels import NO_PLACE, Corners

ENCLOSED = "labels are boxes; around other shapes, the enclosing box is taken"
LEFT_OUT = "labels are boxes, or shapes that have an area; others are left out"
KEY_POINTS = "labels are boxes; key points beside them are left out"
"""What is said of images with other shapes."""


def around(points: Iterable[tuple[float, float]]) -> Corners:
    """The box that encloses points.

    Args:
        points: x and y of each, in pixels.

    Returns:
        Its corners in pixels; `NO_PLACE` of no point, or where one is no number.

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
    """The box that encloses a rectangle which is turned clockwise around a point.

    Args:
        corners: of the rectangle before it is turned, in pixels.
        degrees: by how much it is turned.
        pivot: x and y of the point in pixels; its centre by default.

    Returns:
        The corners of the box in pixels; `NO_PLACE` where `degrees` is no number.

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
    """The box that encloses an ellipse.

    Args:
        centre: x and y in pixels.
        radii: the two half axes in pixels.
        degrees: by which the first of them is turned from the x axis, clockwise.

    Returns:
        The corners of the box in pixels; `NO_PLACE` where something is no number.

    >>> [round(side, 9) for side in around_ellipse((10, 10), (4, 2), 90)]
    [8.0, 6.0, 12.0, 14.0]

    """
    if not all(map(math.isfinite, (*centre, *radii, degrees))):
        return NO_PLACE
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    dx = math.hypot(radii[0] * cosine, radii[1] * sine)
    dy = math.hypot(radii[0] * sine, radii[1] * cosine)
    return centre[0] - dx, centre[1] - dy, centre[0] + dx, centre[1] + dy
