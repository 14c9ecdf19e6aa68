"""The diagnosis as pictures: its chart, and a page of its own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from classlift.pages import Picture, new_figure, render, svg
from classlift.quality.suspicions import Suspicion

_COLOUR = "#1668dc"


def causes_chart(causes: Sequence[Mapping[str, Any]]) -> Figure:
    """A bar a cause, the likeliest first."""
    figure = new_figure(7.5, 1.7)
    axes = figure.subplots()
    rows = range(len(causes))
    axes.barh(rows, [c["score"] for c in causes], color=_COLOUR, height=0.6)
    axes.set_yticks(rows, [c["name"] for c in causes])
    axes.invert_yaxis()
    axes.set_xlim(0, max(0.1, *(c["score"] for c in causes)))
    axes.set_xlabel("recall at stake, estimated")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.3)
    return figure


def write_page(
    path: Path, facts: Mapping[str, Any], found: Sequence[Suspicion], shown: Sequence[Picture]
) -> None:
    """Writes the diagnosis as one self-contained HTML file.

    facts: as in `diagnosis.json`; found, shown: the labels that the model doubts.
    """
    html = render(
        Path(__file__).with_name("weakness.html.j2"),
        diagnosis=facts,
        chart=svg(causes_chart(facts["causes"])),
        suspicions=found,
        suspicious=shown,
    )
    path.write_text(html, "utf-8")
