"""The curves of a run's training, from the file that it writes as it goes on, as a page draws them.

`classlift/training/hooks/curves.py` writes the file.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

WIDTH, HEIGHT, LEFT, BELOW, ABOVE = 640, 220, 56, 24, 10
"""Of a chart, in pixels: the whole, and what is beside, below and above its lines."""

COLOURS = ("#1668dc", "#e08700", "#2f9e44", "#c2255c", "#7048e8", "#868e96")
"""Of the lines, that hold on a light and a dark ground."""

Points = list[tuple[int, float]]
"""Steps, each with a value."""


@dataclass(frozen=True)
class Curves:
    """What a training has told of itself so far.

    Attributes:
        policy: the freeze policy by which it trains.
        steps: that the recipe asks for.
        done: the last step.
        images_per_second: of the steps alone.
        chosen: the step whose weights were kept; None until training has ended.
        losses: by name.
        recalls: of the targets on eval at matched precision, by class; at step 0 those of the
            champion.
        seconds: since 1970, when it last told.

    """

    policy: str
    steps: int
    done: int
    images_per_second: float
    chosen: int | None
    losses: dict[str, Points]
    recalls: dict[str, Points]
    seconds: float

    @property
    def sentence(self) -> str:
        """How far it is."""
        told = datetime.fromtimestamp(self.seconds, UTC).strftime("%H:%M:%S")
        if self.chosen is not None:
            return (
                f"Training of {self.policy} has ended after {self.done:,} of {self.steps:,} "
                f"steps; kept: the weights of step {self.chosen:,}."
            )
        speed = f", {self.images_per_second:.0f} images a second" if self.images_per_second else ""
        place = f"step {self.done:,} of {self.steps:,}{speed}"
        return f"Training of {self.policy}: {place}; told at {told} UTC."


def read_curves(path: Path) -> Curves:
    """Reads the file of a training, which is always whole.

    Args:
        path: of the file.

    Returns:
        What it tells.

    """
    record = json.loads(path.read_text("utf-8"))
    return Curves(
        record.get("policy", "the challenger"),  # of a run before this one was told
        record["steps"],
        record["done"],
        record["images_per_second"],
        record["chosen"],
        _lines([(point["step"], point["losses"]) for point in record["losses"]]),
        _lines([(point["step"], point["recalls"]) for point in record["evaluations"]]),
        path.stat().st_mtime,
    )


def _lines(points: Sequence[tuple[int, dict[str, float | None]]]) -> dict[str, Points]:
    """By name, of points that have values by name; None is left out."""
    lines: dict[str, Points] = {}
    for step, values in points:
        for name, value in values.items():
            if value is not None:
                lines.setdefault(name, []).append((step, value))
    return lines


def as_html(curves: Curves) -> str:
    """How far a training is, the recalls of its targets and its losses.

    Args:
        curves: of the training.

    Returns:
        Paragraphs and charts.

    """
    parts = [f"<p><b>{html.escape(curves.sentence)}</b></p>"]
    parts += [f"<p>{html.escape(line)}</p>" for line in _recalls_in_words(curves)]
    parts += _chart("Recall on eval at matched precision", curves.recalls, curves.steps, 1.0)
    parts += _chart("Loss", curves.losses, curves.steps, None)
    return "".join(parts)


def _recalls_in_words(curves: Curves) -> list[str]:
    found = []
    for label, points in curves.recalls.items():
        later = [point for point in points if point[0]]
        if not later:
            continue
        step, best = max(later, key=lambda point: point[1])
        before = f", the champion's {points[0][1]:.3f}" if points[0][0] == 0 else ""
        so_far = " so far" if curves.chosen is None else ""
        found.append(
            f"Class {label}: recall {later[-1][1]:.3f} at step {later[-1][0]:,}, the best{so_far} "
            f"{best:.3f} at step {step:,}{before}."
        )
    return found or ["Nothing is evaluated yet."]


def _chart(title: str, lines: dict[str, Points], steps: int, top: float | None) -> list[str]:
    """A heading and an SVG with a line a name; none where there is nothing to draw."""
    values = [value for points in lines.values() for _, value in points]
    if not values:
        return []
    top = top or _round_up(max(values))
    drawn, legend = [], []
    for number, (name, points) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = [
            (
                LEFT + (WIDTH - LEFT - ABOVE) * step / max(steps, 1),
                HEIGHT - BELOW - (HEIGHT - BELOW - ABOVE) * min(max(value / top, 0.0), 1.0),
            )
            for step, value in points
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"><title>'
            f"{html.escape(f'{name}: {value:.3f} at step {step:,}')}</title></circle>"
            for (x, y), (step, value) in zip(places, points, strict=True)
        ]
        legend.append(
            f'<span style="color: {colour}">&#9632;</span> {html.escape(name)} {points[-1][1]:.3f}'
        )
    axes = "".join(
        f'<line x1="{LEFT}" x2="{WIDTH - ABOVE}" y1="{y}" y2="{y}" stroke="#8886"/>'
        f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{share * top:.3g}</text>'
        for share in (0.0, 0.5, 1.0)
        for y in [round(HEIGHT - BELOW - (HEIGHT - BELOW - ABOVE) * share)]
    )
    ends = "".join(
        f'<text x="{x}" y="{HEIGHT - 6}" text-anchor="{anchor}">{words}</text>'
        for x, anchor, words in (
            (LEFT, "start", "step 0"),
            (WIDTH - ABOVE, "end", f"{steps:,}"),
        )
    )
    picture = (
        f'<svg role="img" aria-label="{html.escape(title)}" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f"{axes}{ends}{''.join(drawn)}</svg>"
    )
    return [f"<h2>{html.escape(title)}</h2>", f"<p>{' &nbsp; '.join(legend)}</p>", picture]


def _round_up(value: float) -> float:
    """The next of 1, 2 and 5 times a power of ten; 1 for 0."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * factor for factor in (1, 2, 5, 10) if value <= power * factor)
