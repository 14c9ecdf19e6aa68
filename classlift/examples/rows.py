"""Rows of a snapshot's tables, as far as records are made from them."""

from typing import TypedDict


class ImageRow(TypedDict):
    """A row of `schema.IMAGES`: an image file and its size in pixels."""

    image_id: str
    uri: str
    sha256: str
    width: int
    height: int
    format: str
    unlabelled: list[str]


class BoxRow(TypedDict):
    """A row of `schema.BOXES`: an object, its sides in pixels of its image."""

    label: str
    xmin: float
    ymin: float
    xmax: float
    ymax: float
    is_crowd: bool
    difficult: bool
