"""Copy-paste: objects of the target classes from other training images are pasted into some.

After Ghiasi et al.: Simple copy-paste is a strong data augmentation method for instance
segmentation, CVPR 2021; with boxes instead of masks, so an object brings its rectangle along.
`plan_pastes` says what goes where and what it hides, from the tables alone; `paste` does it to the
pixels.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from classlift.data.images import UNREADABLE, decode_rgb, encode
from classlift.errors import DataError
from classlift.examples.rows import BoxRow, ImageRow

MAX_OBJECTS = 3
SCALES = (0.7, 1.3)
"""How much smaller or larger an object may be pasted: mild, for the size of a class means much."""

MIN_SIDE = 8
"""In pixels: smaller objects are not copied, they would be noise."""

MAX_OVERLAP = 0.1
"""Objects of which others cover more are not copied, for those would come along unlabelled."""

MIN_VISIBLE = 0.3
"""An object of which less stays visible loses its box."""


@dataclass(frozen=True)
class Donor:
    """An object that can be pasted: its image, and its box in whole pixels of it."""

    uri: str
    sha256: str
    label: str
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Paste:
    """A donor's pixels, resized to `size` (width, height), put at `at` (x, y); maybe mirrored."""

    donor: Donor
    at: tuple[int, int]
    size: tuple[int, int]
    mirrored: bool


def find_donors(
    images: Sequence[ImageRow], boxes: Mapping[str, Sequence[BoxRow]], targets: Collection[str]
) -> list[Donor]:
    """The objects of the target classes that can be copied."""
    return [
        Donor(
            image["uri"],
            image["sha256"],
            b["label"],
            (int(b["xmin"]), int(b["ymin"]), int(np.ceil(b["xmax"])), int(np.ceil(b["ymax"]))),
        )
        for image in images
        for own in (boxes[image["image_id"]],)
        for number, b in enumerate(own)
        if b["label"] in targets and not b["is_crowd"] and _is_clear(number, own)
    ]


def _is_clear(number: int, boxes: Sequence[BoxRow]) -> bool:
    box = boxes[number]
    width, height = box["xmax"] - box["xmin"], box["ymax"] - box["ymin"]
    if min(width, height) < MIN_SIDE:
        return False
    for index, other in enumerate(boxes):
        across = min(box["xmax"], other["xmax"]) - max(box["xmin"], other["xmin"])
        down = min(box["ymax"], other["ymax"]) - max(box["ymin"], other["ymin"])
        if index != number and across > 0 < down and across * down > MAX_OVERLAP * width * height:
            return False
    return True


def plan_pastes(
    image: ImageRow, boxes: Sequence[BoxRow], donors: Sequence[Donor], rng: np.random.Generator
) -> tuple[list[Paste], list[BoxRow]]:
    """What is pasted into one image, and its boxes afterwards.

    Boxes that are partly hidden shrink to what stays visible, those of which less than
    `MIN_VISIBLE` does are dropped. Crowds stay as they are.

    Args:
        image: that is pasted into.
        boxes: of the image, in pixels.
        donors: that can be chosen.
        rng: by which they are.

    Returns:
        The pastes in their order, and the boxes with those of the pastes.

    """
    pastes = list(_draw(image, donors, rng))
    rectangles = [(*p.at, p.at[0] + p.size[0], p.at[1] + p.size[1]) for p in pastes]
    kept = [after for box in boxes if (after := _visible(box, rectangles))]
    for number, (paste_, rectangle) in enumerate(zip(pastes, rectangles, strict=True)):
        xmin, ymin, xmax, ymax = map(float, rectangle)
        box = BoxRow(
            label=paste_.donor.label,
            xmin=xmin,
            ymin=ymin,
            xmax=xmax,
            ymax=ymax,
            is_crowd=False,
            difficult=False,
        )
        if after := _visible(box, rectangles[number + 1 :]):
            kept.append(after)
    return pastes, kept


def _draw(image: ImageRow, donors: Sequence[Donor], rng: np.random.Generator) -> Iterator[Paste]:
    for _ in range(rng.integers(1, MAX_OBJECTS, endpoint=True)):
        donor = donors[int(rng.integers(len(donors)))]
        scale = rng.uniform(*SCALES)
        width, height = (
            max(MIN_SIDE, round(scale * (donor.box[axis + 2] - donor.box[axis]))) for axis in (0, 1)
        )
        if width > image["width"] or height > image["height"]:
            continue
        x, y = (
            int(rng.integers(0, extent - side, endpoint=True))
            for extent, side in ((image["width"], width), (image["height"], height))
        )
        yield Paste(donor, (x, y), (width, height), bool(rng.random() < 0.5))


def _visible(box: BoxRow, rectangles: Sequence[tuple[int, int, int, int]]) -> BoxRow | None:
    """The box of what rectangles leave of an object; None when that is too little."""
    if box["is_crowd"] or not rectangles:
        return box
    left, top = int(np.floor(box["xmin"])), int(np.floor(box["ymin"]))
    right, bottom = int(np.ceil(box["xmax"])), int(np.ceil(box["ymax"]))
    mask = np.ones((bottom - top, right - left), bool)
    for x0, y0, x1, y1 in rectangles:
        mask[max(0, y0 - top) : max(0, y1 - top), max(0, x0 - left) : max(0, x1 - left)] = False
    if mask.all():
        return box
    if mask.mean() < MIN_VISIBLE:
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return {
        **box,
        "xmin": max(box["xmin"], float(left + columns[0])),
        "ymin": max(box["ymin"], float(top + rows[0])),
        "xmax": min(box["xmax"], float(left + columns[-1] + 1)),
        "ymax": min(box["ymax"], float(top + rows[-1] + 1)),
    }


def paste(encoded: bytes, image_format: str, pastes: Sequence[tuple[Paste, bytes]]) -> bytes:
    """Pastes donors into an encoded image.

    Args:
        encoded: the image file's bytes.
        image_format: `jpeg` or `png`, of the answer.
        pastes: each with the bytes of the donor's image.

    Returns:
        The bytes of the new image.

    Raises:
        DataError: an image can't be decoded.

    """
    try:
        canvas = decode_rgb(encoded)
        for item, data in pastes:
            crop = decode_rgb(data).crop(item.donor.box)
            if item.mirrored:
                crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            canvas.paste(crop.resize(item.size, Image.Resampling.BILINEAR), item.at)
    except UNREADABLE as error:
        raise DataError(f"An image can't be decoded for copy-paste ({error}).") from error
    return encode(canvas, image_format)
