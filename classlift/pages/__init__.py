"""What the reports share: each is one self-contained HTML file, and the same for the same run."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from PIL import Image, ImageDraw

from classlift.text import shorten, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THUMBNAIL = 160
"""The longer side, in pixels."""

VIEW = 240
"""The longer side, in pixels, of a picture that can be enlarged."""

OUTLINE = 2
"""How thick an outline is there, in pixels."""

GAP = 4
"""Between two pictures side by side, in pixels."""


@dataclass(frozen=True)
class Picture:
    """One of a gallery: a thumbnail as a data URI, and what it shows."""

    source: str
    caption: str


def render(template: Path, **values: Any) -> str:
    """Fills a template that lies beside its code; all share `page.html.j2`."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template.name).render(**values)


def new_figure(width: float, height: float) -> "Figure":
    """An empty matplotlib figure whose texts are what they say.

    Names of classes are never read as mathematics, of which half a formula would end the report.

    Args:
        width: in inches.
        height: in inches.

    Returns:
        The figure.

    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # When a text is drawn, not when the figure is made: tick labels come late.
    mpl.rcParams.update({"text.parse_math": False, "text.usetex": False})
    return Figure(figsize=(width, height), layout="constrained")


def axis_name(name: str) -> str:
    """A name of a user for an axis: short, on one line.

    Args:
        name: of any length.

    Returns:
        At most 40 characters.

    >>> axis_name("scooter"), len(axis_name("a" * 5000))
    ('scooter', 40)

    """
    return shorten(shown(name), 40)


def svg(figure: Any) -> str:
    """A matplotlib figure to put into the page: no fonts by reference, no dates."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "classlift", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def thumbnail(image: Image.Image, photograph: bool = False) -> str:
    """A small picture of an image, as a data URI: PNG; of a photograph JPEG, which is shorter."""
    small = image.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    return _data_uri(small, "JPEG" if photograph else "PNG")


def _data_uri(image: Image.Image, kind: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def surroundings(size: tuple[int, int], box: Sequence[float]) -> tuple[int, int, int, int]:
    """The part of an image around a box, of the image's own shape.

    Args:
        size: width and height of the image, in pixels.
        box: xmin, ymin, xmax, ymax in pixels.

    Returns:
        Left, top, right and bottom in pixels: five times the box, `VIEW` at least, the whole image
        at most.

    >>> surroundings((1000, 500), (100, 100, 140, 120))
    (0, 50, 240, 170)

    """
    width, height = size
    shares = (5 * (box[2] - box[0]) / width, 5 * (box[3] - box[1]) / height)
    share = min(1.0, max(*shares, VIEW / max(size)))
    across, down = max(1, round(share * width)), max(1, round(share * height))
    left = round(min(max((box[0] + box[2] - across) / 2, 0), width - across))
    top = round(min(max((box[1] + box[3] - down) / 2, 0), height - down))
    return left, top, left + across, top + down


def view(
    image: Image.Image,
    part: tuple[int, int, int, int],
    outlines: Sequence[tuple[Sequence[float], str]],
) -> Image.Image:
    """A part of an image with outlines of boxes, none of which hides another.

    Args:
        image: the whole one.
        part: left, top, right and bottom in pixels.
        outlines: boxes (xmin, ymin, xmax, ymax in pixels of the whole image), each with its
            colour; of boxes at the same place the first is the outermost.

    Returns:
        The part, `VIEW` pixels at its longer side.

    """
    left, top, right, bottom = part
    scale = VIEW / max(right - left, bottom - top)
    size = (max(1, round(scale * (right - left))), max(1, round(scale * (bottom - top))))
    picture = image.crop(part).resize(size, Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(picture)
    for number, (box, colour) in enumerate(reversed(outlines)):
        corners = [
            scale * (side - offset) for side, offset in zip(box, (left, top) * 2, strict=True)
        ]
        xmin, xmax = sorted((corners[0], corners[2]))
        ymin, ymax = sorted((corners[1], corners[3]))
        grown = OUTLINE * number
        draw.rectangle(
            (xmin - grown, ymin - grown, xmax + grown, ymax + grown), outline=colour, width=OUTLINE
        )
    return picture


def beside(left: Image.Image, right: Image.Image) -> str:
    """Two pictures of one size side by side, as a data URI of a JPEG."""
    width, height = left.size
    both = Image.new("RGB", (2 * width + GAP, height), "white")
    both.paste(left, (0, 0))
    both.paste(right, (width + GAP, 0))
    return _data_uri(both, "JPEG")


def draw_box(image: Image.Image, box: Sequence[float], colour: str) -> None:
    """Outlines a box, xmin, ymin, xmax, ymax in pixels, thick enough for the thumbnail."""
    width = max(1, round(max(image.size) / THUMBNAIL))
    xmin, ymin, xmax, ymax = map(float, box)
    corners = (min(xmin, xmax), min(ymin, ymax), max(xmin, xmax), max(ymin, ymax))
    ImageDraw.Draw(image).rectangle(corners, outline=colour, width=width)
