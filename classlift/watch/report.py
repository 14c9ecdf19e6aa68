"""The page of the series: one self-contained HTML file."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from classlift.pages import axis_name, new_figure, render, svg
from classlift.watch.score import Figures, fallen, sentences
from classlift.watch.series import Record

SHOWN = 100
"""Scorings in a chart, the latest."""

CHARTS = 24
"""Classes with a chart: those with a floor, then those of the lowest recall."""

_RECALL, _FELL, _FLOOR, _SOFT = "#1668dc", "#d6336c", "#e08700", "#5d6570"


def write_report(
    path: Path, name: str, records: Sequence[Record], latest: Record, validation: Path
) -> None:
    """Writes the page.

    name: of the config. records: the series; latest: the record to show in full, judged by today's
    floors. validation: the report of the labels.
    """
    classes = latest["classes"]
    shown = records[-SHOWN:]
    labels = charted(classes)
    html = render(
        Path(__file__).with_name("report.html.j2"),
        name=name,
        latest=latest,
        fell=fallen(classes),
        sentences=sentences(classes),
        charts=[(label, svg(_chart(label, classes[label]["floor"], shown))) for label in labels],
        classes=len(classes),
        scorings=len(records),
        shown=len(shown),
        validation=validation,
    )
    path.write_text(html, "utf-8")


def charted(classes: dict[str, Figures]) -> list[str]:
    """The classes that get a chart: those that fell, those with a floor, the lowest recalls."""
    fell = fallen(classes)

    def key(label: str) -> tuple[bool, int, bool, float]:
        figures = classes[label]
        place = fell.index(label) if label in fell else len(fell)
        recall = figures["recall"]
        return figures["floor"] is None, place, recall is None, recall or 0.0

    return sorted(classes, key=key)[:CHARTS]


def _chart(label: str, floor: float | None, records: Sequence[Record]) -> Figure:
    """Recall of one class over time, with its bounds, the versions, and the floor of today."""
    figure = new_figure(4, 2.2)
    axes = figure.subplots()
    points: list[tuple[datetime, Any]] = [
        (datetime.fromisoformat(record["time"]), record["classes"][label])
        for record in records
        if record["classes"].get(label, {}).get("recall") is not None
    ]
    times = [time for time, _ in points]
    recalls = [figures["recall"] for _, figures in points]
    axes.plot(times, recalls, color=_RECALL, linewidth=1, alpha=0.5)
    for time, figures in points:
        colour = _FELL if figures["fell"] else _RECALL
        axes.plot([time] * 2, [figures["lower"], figures["upper"]], color=colour, alpha=0.4)
        axes.plot(time, figures["recall"], "o", color=colour, markersize=4)
    if floor is not None:
        axes.axhline(floor, color=_FLOOR, linestyle="--", linewidth=1)
    every = [datetime.fromisoformat(record["time"]) for record in records]
    before, named = None, None
    for time, record in zip(every, records, strict=True):
        if record["version"] != before:
            axes.axvline(time, color=_SOFT, linestyle=":", linewidth=1, zorder=0)
            if named is None or time - named > (every[-1] - every[0]) * 0.2:  # not on each other
                place = ("data", "axes fraction")
                text = f" {record['version']}"
                axes.annotate(text, (time, 1.04), xycoords=place, fontsize=6, color=_SOFT)
                named = time
        before = record["version"]
    margin = max((every[-1] - every[0]) * 0.08, timedelta(hours=6))
    axes.set_xlim(every[0] - margin, every[-1] + margin)
    axes.set_ylim(-0.02, 1.02)
    ends = {time.date().isoformat(): time for time in (every[-1], every[0])}
    axes.set_xticks(list(ends.values()), list(ends))
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", alpha=0.3)
    axes.set_title(f"class {axis_name(label)}", fontsize=9, loc="left", pad=12)
    return figure
