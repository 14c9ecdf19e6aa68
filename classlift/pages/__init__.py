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


def beside(left: Image.Image, right: Image.Image) -> str:
    """Two pictures of one size side by side, each a thumbnail at most, as a data URI of a JPEG."""
    views = [left.copy(), right.copy()]
    for view in views:
        view.thumbnail((THUMBNAIL, THUMBNAIL))
    width, height = views[0].size
    both = Image.new("RGB", (2 * width + GAP, height), "white")
    both.paste(views[0], (0, 0))
    both.paste(views[1], (width + GAP, 0))
    return _data_uri(both, "JPEG")


def draw_box(image: Image.Image, box: Sequence[float], colour: str) -> None:
    """Outlines a box, xmin, ymin, xmax, ymax in pixels, thick enough for the thumbnail."""
    width = max(1, round(max(image.size) / THUMBNAIL))
    xmin, ymin, xmax, ymax = map(float, box)
    corners = (min(xmin, xmax), min(ymin, ymax), max(xmin, xmax), max(ymin, ymax))
    ImageDraw.Draw(image).rectangle(corners, outline=colour, width=width)
