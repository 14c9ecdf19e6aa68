"""The runs and watches of a config, from the files that they left: what the page *Models* draws."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SHOWN = 40
"""Points of a line, the latest ones."""

WIDTH, HEIGHT, MARGIN = 240, 64, 6
"""Of a line's picture, in pixels."""


@dataclass(frozen=True)
class Judged:
    """A run that reached its gate, or a watch of what is served.

    Attributes:
        name: id of the run, or the version that was watched.
        seconds: when, since 1970.
        verdict: of the gate; "watch" of a watch.
        sentence: that decides; empty of a watch.
        recalls: of the challenger, or of what is served, by class.
        status: what the gate says of each class; empty of a watch.
        pushed: whether the run's model was pushed.

    """

    name: str
    seconds: float
    verdict: str
    sentence: str
    recalls: dict[str, float]
    status: dict[str, str]
    pushed: bool

    @property
    def date(self) -> str:
        """When, UTC."""
        return datetime.fromtimestamp(self.seconds, UTC).strftime("%Y-%m-%d %H:%M")


def read_runs(work: Path) -> list[Judged]:
    """The runs of a config that reached their gate and are still there, the oldest first."""
    found = []
    for path in work.glob("runs/*/evaluation/verdict.json"):
        record = _read(path.read_text("utf-8") if path.is_file() else "")
        folder = path.parents[1]
        # A node's record is written as it ends; the verdict anew, when somebody pushes.
        times = [file.stat().st_mtime for file in folder.glob("*.json")]
        classes = record.get("classes")
        if not isinstance(classes, dict):
            continue
        found.append(
            Judged(
                name=folder.name,
                seconds=min(times, default=path.stat().st_mtime),
                verdict=str(record.get("verdict", "")),
                sentence=str(record.get("sentence", "")),
                recalls={
                    label: found["challenger_recall"]
                    for label, found in classes.items()
                    if found.get("challenger_recall") is not None
                },
                status={label: str(found.get("status", "")) for label, found in classes.items()},
                pushed=bool(record.get("pushed")),
            )
        )
    return sorted(found, key=lambda run: run.seconds)


def read_watches(work: Path) -> list[Judged]:
    """The watches of what a config serves, the oldest first."""
    path = work / "watch" / "series.jsonl"
    found = []
    for line in path.read_text("utf-8").splitlines() if path.is_file() else ():
        record = _read(line)
        if "time" not in record:
            continue
        recalls = {
            label: figures["recall"]
            for label, figures in record.get("classes", {}).items()
            if figures.get("recall") is not None
        }
        seconds = datetime.fromisoformat(record["time"]).timestamp()
        name = f"version {record.get('version')}"
        found.append(Judged(name, seconds, "watch", "", recalls, {}, pushed=False))
    return sorted(found, key=lambda watch: watch.seconds)


def line(label: str, points: Sequence[Judged]) -> str:
    """The recall of a class over runs and watches, as SVG.

    Args:
        label: the class.
        points: runs and watches, the oldest first.

    Returns:
        The picture: a dot a run, a ring where nothing was pushed, a square a watch; each says on
        hover what it is.

    """
    known = [point for point in points if label in point.recalls][-SHOWN:]
    across = (WIDTH - 2 * MARGIN) / max(len(known) - 1, 1)
    places = [
        (MARGIN + across * number, HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * point.recalls[label])
        for number, point in enumerate(known)
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    marks = "".join(
        f"{_mark(point, x, y)}<title>{html.escape(_words(label, point))}</title></{_shape(point)}>"
        for point, (x, y) in zip(known, places, strict=True)
    )
    name = html.escape(f"recall of class {label}, {len(known)} points")
    return (
        f'<svg role="img" aria-label="{name}" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}"><polyline points="{path}" fill="none" stroke="#8a8f98"/>{marks}</svg>'
    )


def _shape(point: Judged) -> str:
    return "rect" if point.verdict == "watch" else "circle"


def _mark(point: Judged, x: float, y: float) -> str:
    if point.verdict == "watch":
        return f'<rect x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6" fill="#e08700">'
    fill = "#1668dc" if point.pushed else "none"
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" stroke="#1668dc" fill="{fill}">'


def _words(label: str, point: Judged) -> str:
    state = "pushed" if point.pushed else point.verdict
    return f"{point.name}, {point.date}: recall {point.recalls[label]:.3f}, {state}"


def _read(text: str) -> dict[str, Any]:
    """A JSON object; an empty one where it is damaged, for the rest is shown."""
    try:
        record = json.loads(text)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
