"""What every reader of a format returns."""

import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHARD_IMAGES = 256
"""Images in a shard: enough that the cost per shard is small, few enough to fit into memory."""


@dataclass(frozen=True)
class LabelledImage:
    """One image of a source.

    uri: where its bytes are, for `components.dataset.media`. width, height: in pixels, as the
    labels claim; None where the format does not say. source: file and record that name it.
    """

    file_name: str
    uri: str
    width: int | None
    height: int | None
    source: str


@dataclass(frozen=True)
class LabelledBox:
    """One box of a source, xmin, ymin, xmax, ymax in pixels; `source` is its file and record."""

    file_name: str
    label: str
    box: tuple[float, float, float, float]
    source: str
    is_crowd: bool = False
    difficult: bool = False


@dataclass(frozen=True)
class Labels:
    """The images and boxes of one source, in the order of its files."""

    images: list[LabelledImage]
    boxes: list[LabelledBox]


@dataclass(frozen=True)
class Shard:
    """A part of a source, which any process that sees the files can read alone.

    items: what the format's reader needs, with the state of the label files (`paths.state`), so
    that the key changes when they do.
    """

    format: str
    path: Path
    items: tuple[Any, ...]

    @functools.cached_property
    def key(self) -> str:
        """Names what reading the shard gives, as long as its image files do not change."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:32]


def chunks(items: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """The items in pieces of `SHARD_IMAGES`."""
    for start in range(0, len(items), SHARD_IMAGES):
        yield tuple(items[start : start + SHARD_IMAGES])


def read_packed_shard(shard: Shard) -> Labels:
    """Of a format that reads its labels at once: items are images, each with its boxes."""
    return Labels(
        [image for image, _ in shard.items], [box for _, boxes in shard.items for box in boxes]
    )
