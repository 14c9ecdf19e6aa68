"""The diagnosis as pictures: its chart, and a page of its own."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from classlift.diagnosis.causes import Cause
from classlift.diagnosis.diagnosis import Diagnosis
from classlift.pages import Picture, new_figure, render, svg

_COLOUR = "#1668dc"


def causes_chart(causes: Sequence[Cause]) -> Figure:
    """A bar a cause, the likeliest first."""
    figure = new_figure(7.5, 1.7)
    axes = figure.subplots()
    rows = range(len(causes))
    axes.barh(rows, [c.score for c in causes], color=_COLOUR, height=0.6)
    axes.set_yticks(rows, [c.name for c in causes])
    axes.invert_yaxis()
    axes.set_xlim(0, max(0.1, *(c.score for c in causes)))
    axes.set_xlabel("recall at stake, estimated")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.3)
    return figure


def write_page(path: Path, diagnosis: Diagnosis, pictures: Sequence[Picture]) -> None:
    """Writes the diagnosis as one self-contained HTML file; pictures: of the first doubts."""
    html = render(
        Path(__file__).with_name("weakness.html.j2"),
        diagnosis=diagnosis,
        chart=svg(causes_chart(diagnosis.causes)),
        suspicions=diagnosis.doubts,
        suspicious=pictures,
    )
    path.write_text(html, "utf-8")
