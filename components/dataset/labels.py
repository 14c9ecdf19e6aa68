"""What every reader of a format returns."""

from dataclasses import dataclass


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
