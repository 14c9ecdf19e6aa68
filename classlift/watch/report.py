"""The page of the series: one self-contained HTML file."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from matplotlib.dates import date2num
from matplotlib.figure import Figure

from classlift.pages import axis_name, new_figure, render, svg
from classlift.watch.score import Figures, Promise, fallen, sentences
from classlift.watch.series import Scoring

SHOWN = 100
"""Scorings in a chart, the latest."""

CHARTS = 24
"""Classes with a chart: those with a floor, then those of the lowest recall."""

_MARGIN = 0.25
"""Days beside the first and the last scoring, at least."""

_RECALL, _FELL, _FLOOR, _SOFT = "#1668dc", "#d6336c", "#e08700", "#5d6570"


def write_report(
    path: Path,
    name: str,
    scorings: Sequence[Scoring],
    latest: Scoring,
    validation: Path,
    promises: Sequence[Promise],
) -> None:
    """Writes the page.

    Args:
        path: of the HTML file.
        name: of the config.
        scorings: the series.
        latest: the one to show in full, judged by today's floors.
        validation: the report of the labels.
        promises: what thresholds of the version were chosen for.

    """
    classes = latest.classes
    shown = scorings[-SHOWN:]
    labels = charted(classes)
    html = render(
        Path(__file__).with_name("report.html.j2"),
        name=name,
        latest=latest,
        fell=fallen(classes),
        sentences=[*sentences(classes), *(promise.sentence(classes) for promise in promises)],
        charts=[(label, svg(_chart(label, classes[label].floor, shown))) for label in labels],
        classes=len(classes),
        scorings=len(scorings),
        shown=len(shown),
        validation=validation,
    )
    path.write_text(html, "utf-8")


def charted(classes: Mapping[str, Figures]) -> list[str]:
    """The classes that get a chart: those that fell, those with a floor, the lowest recalls."""
    fell = fallen(classes)

    def key(label: str) -> tuple[bool, int, bool, float]:
        figures = classes[label]
        place = fell.index(label) if label in fell else len(fell)
        recall = figures.recall
        return figures.floor is None, place, recall is None, recall or 0.0

    return sorted(classes, key=key)[:CHARTS]


def _chart(label: str, floor: float | None, scorings: Sequence[Scoring]) -> Figure:
    """Recall of one class over time, with its bounds, the versions, and the floor of today."""
    figure = new_figure(4, 2.2)
    axes = figure.subplots()
    every = [_day(scoring.time) for scoring in scorings]
    known = [
        (day, scoring.classes[label])
        for day, scoring in zip(every, scorings, strict=True)
        if label in scoring.classes and scoring.classes[label].recall is not None
    ]
    days = [day for day, _ in known]
    recalls = np.array([(f.lower, f.recall, f.upper) for _, f in known], np.float64).reshape(-1, 3)
    axes.plot(days, recalls[:, 1], color=_RECALL, linewidth=1, alpha=0.5)
    for (day, figures), (lower, recall, upper) in zip(known, recalls, strict=True):
        colour = _FELL if figures.fell else _RECALL
        axes.plot([day] * 2, [lower, upper], color=colour, alpha=0.4)
        axes.plot(day, recall, "o", color=colour, markersize=4)
    if floor is not None:
        axes.axhline(floor, color=_FLOOR, linestyle="--", linewidth=1)
    length = every[-1] - every[0]
    before, named = None, None
    for day, scoring in zip(every, scorings, strict=True):
        if scoring.version != before:
            axes.axvline(day, color=_SOFT, linestyle=":", linewidth=1, zorder=0)
            if named is None or day - named > length * 0.2:  # not on each other
                place = ("data", "axes fraction")
                text = f" {scoring.version}"
                axes.annotate(text, (day, 1.04), xycoords=place, fontsize=6, color=_SOFT)
                named = day
        before = scoring.version
    margin = max(length * 0.08, _MARGIN)
    axes.set_xlim(every[0] - margin, every[-1] + margin)
    axes.set_ylim(-0.02, 1.02)
    ends = {scorings[i].time[:10]: every[i] for i in (-1, 0)}
    axes.set_xticks(list(ends.values()), list(ends))
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", alpha=0.3)
    axes.set_title(f"class {axis_name(label)}", fontsize=9, loc="left", pad=12)
    return figure


def _day(time: str) -> float:
    """A time in ISO 8601 as the days that Matplotlib counts in."""
    return float(date2num(datetime.fromisoformat(time)))  # type: ignore[no-untyped-call]
