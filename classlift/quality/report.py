"""The validation report: one self-contained HTML file.

It says all there is to say without a script; one of its own, where scripts may run, finds a class.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from classlift.data.images import UNREADABLE, decode_rgb
from classlift.data.media import file_of, read_bytes
from classlift.data.profile import SIZES
from classlift.data.schema import SPLITS
from classlift.errors import DataError
from classlift.pages import Picture, draw_box, new_figure, render, svg, thumbnail
from classlift.quality.findings import CRITICAL, WARNING, Finding
from classlift.quality.samples import samples
from classlift.quality.suspicions import Suspicion, pictures

PICTURES = 6  # of each broken rule
PLACES = 5  # of each broken rule that are read at once; the others unfold
FOLDERS = 3
DETAILED = 300
"""Classes that unfold, those with the most boxes; the others are a line each."""

ASPECTS = ("taller than 3:1", "3:1 to 3:2", "3:2 to 2:3", "2:3 to 1:3", "wider than 1:3")
"""Ratios of height to width."""

_ASPECT_BORDERS = (-np.log(3), -np.log(1.5), np.log(1.5), np.log(3))  # of log(width / height)
_GRID = 48  # cells a side, of the picture of places
_BLUE, _WRONG = "#1668dc", "#d6336c"


@dataclass(frozen=True)
class ClassRow:
    """What the page says of a class: its boxes by split, by size and by aspect, and some of them.

    Attributes:
        share: of the most that a class has, 0 to 1.

    """

    name: str
    splits: dict[str, int]
    sizes: dict[str, int]
    aspects: dict[str, int]
    share: float
    samples: Sequence[Picture]

    @property
    def boxes(self) -> int:
        """All of its boxes."""
        return sum(self.splits.values())


def write_report(
    path: Path,
    boxes: pd.DataFrame,
    images: pd.DataFrame,
    labels: Sequence[str],
    findings: Sequence[Finding],
    suspicions: Sequence[Suspicion],
    docs: str,
    where: str = "",
) -> None:
    """Writes the report.

    Args:
        path: of the HTML file.
        boxes: the validator's frame.
        images: the validator's frame.
        labels: the names of the label map.
        findings: of the validator.
        suspicions: labels that a model doubts.
        docs: the address of the Data Docs, as seen from the report.
        where: the path of the labels, as it was given; the folders of the images where it was not.

    """
    sound = images[images["phash"] != ""]  # the others are never decoded
    uris = dict(zip(sound["image_id"], sound["uri"], strict=True))
    placed = boxes[boxes["side"] > 0]
    html = render(
        Path(__file__).with_name("report.html.j2"),
        where=where or _folders(images["uri"]),
        time=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        images={split: int((images["split"] == split).sum()) for split in SPLITS},
        boxes=len(boxes),
        classes=_classes(boxes, placed, labels, uris),
        sizes=SIZES,
        aspects=ASPECTS,
        detailed=DETAILED,
        charts=[svg(chart) for chart in _charts(placed)] if len(placed) else [],
        critical=sum(f.severity == CRITICAL for f in findings),
        warnings=sum(f.severity == WARNING for f in findings),
        findings=[(f, _pictures(f, boxes, uris)) for f in findings],
        places=PLACES,
        suspicions=suspicions,
        suspicious=pictures(suspicions, lambda image_id: read_bytes(uris[image_id])),
        docs=docs,
    )
    path.write_text(html, "utf-8")


def write_relabel_page(path: Path, found: Sequence[Suspicion], shown: Sequence[Picture]) -> None:
    """Writes the page of labels that a model doubts, alone."""
    html = render(Path(__file__).with_name("relabel.html.j2"), suspicions=found, suspicious=shown)
    path.write_text(html, "utf-8")


def _folders(uris: pd.Series) -> str:
    folders = list(dict.fromkeys(os.path.dirname(file_of(uri)) for uri in uris))
    if len(folders) > FOLDERS:
        folders = [os.path.commonpath(folders)]
    return ", ".join(folders)


def _classes(
    boxes: pd.DataFrame, placed: pd.DataFrame, labels: Sequence[str], uris: dict[str, str]
) -> list[ClassRow]:
    """A row for each class of the label map and of the boxes, those with the most boxes first."""
    names = list(dict.fromkeys([*labels, *sorted(boxes["label"].unique())]))
    aspects = pd.Series(np.array(ASPECTS)[np.digitize(_log_aspect(placed), _ASPECT_BORDERS)])
    by_split, by_size, by_aspect = (
        pd.crosstab(index, columns).reindex(index=names, columns=list(order), fill_value=0)
        for index, columns, order in (
            (boxes["label"], boxes["split"], SPLITS),
            (boxes["label"], boxes["size"], SIZES),
            (placed["label"].reset_index(drop=True), aspects, ASPECTS),
        )
    )

    def counts(table: pd.DataFrame, name: str) -> dict[str, int]:
        return dict(zip(map(str, table), table.loc[name].to_numpy().tolist(), strict=True))

    shown = samples(boxes, names, uris)
    most = max(int(by_split.sum(axis=1).max()), 1) if names else 1
    rows = [
        ClassRow(
            name,
            counts(by_split, name),
            counts(by_size, name),
            counts(by_aspect, name),
            share=int(by_split.loc[name].sum()) / most,
            samples=shown.get(name, ()),
        )
        for name in names
    ]
    return sorted(rows, key=lambda row: -row.boxes)


def _log_aspect(placed: pd.DataFrame) -> np.ndarray:
    """The logarithm of width by height; all boxes have an area."""
    width, height = placed["xmax"] - placed["xmin"], placed["ymax"] - placed["ymin"]
    return np.asarray(np.log((width / height).to_numpy(np.float64)))


def _charts(placed: pd.DataFrame) -> Iterator[Figure]:
    """Sizes, aspect ratios and places of all boxes that have an area."""
    counts = placed["size"].value_counts().reindex(SIZES, fill_value=0)
    yield _bars("Size: root of area, share of image", SIZES, counts.to_numpy())
    kinds = np.bincount(np.digitize(_log_aspect(placed), _ASPECT_BORDERS), minlength=len(ASPECTS))
    yield _bars("Aspect ratio: height to width", ASPECTS, kinds)
    figure = new_figure(3.6, 2.6)
    axes = figure.subplots()
    axes.set_title("Place: boxes over each spot", fontsize=10, loc="left")
    shown = axes.imshow(_coverage(placed), cmap="Blues", vmin=0, aspect="auto")
    axes.set_xticks([0, _GRID - 1], ["left", "right"])
    axes.set_yticks([0, _GRID - 1], ["top", "bottom"])
    figure.colorbar(shown, ax=axes)
    yield figure


def _bars(title: str, names: Sequence[str], counts: np.ndarray) -> Figure:
    figure = new_figure(3.6, 2.6)
    axes = figure.subplots()
    axes.set_title(title, fontsize=10, loc="left")
    axes.barh(range(len(names)), counts, color=_BLUE, height=0.7)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("boxes")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _coverage(placed: pd.DataFrame) -> np.ndarray:
    """How many boxes lie over each cell of the image.

    Each box adds 1 at its first corner and takes it away past its last ones; sums do the rest.

    Returns:
        [cells, cells], rows from the top.

    """
    steps = np.zeros((_GRID + 1, _GRID + 1), np.int64)
    known = placed[(placed["width"] > 0) & (placed["height"] > 0)]
    left, right = (
        _cells(known[side] / known["width"], up) for side, up in (("xmin", 0), ("xmax", 1))
    )
    top, bottom = (
        _cells(known[side] / known["height"], up) for side, up in (("ymin", 0), ("ymax", 1))
    )
    for rows, columns, sign in (
        (top, left, 1),
        (bottom, right, 1),
        (top, right, -1),
        (bottom, left, -1),
    ):
        np.add.at(steps, (rows, columns), sign)
    return np.asarray(steps.cumsum(axis=0).cumsum(axis=1)[:_GRID, :_GRID])


def _cells(shares: pd.Series, up: int) -> np.ndarray:
    """The cell that a side begins in, or, going up, the first one after it."""
    places = shares.to_numpy(np.float64) * _GRID
    cells = np.ceil(places) if up else np.floor(places)
    return np.asarray(np.clip(cells, 0, _GRID if up else _GRID - 1), np.int64)


def _pictures(finding: Finding, boxes: pd.DataFrame, uris: dict[str, str]) -> list[Picture]:
    """The boxes that break a rule, outlined; none where the image itself can't be shown."""
    result = []
    rows = boxes[boxes["box_id"].isin(finding.box_ids[:PICTURES])]
    corners_of = rows[["xmin", "ymin", "xmax", "ymax"]].to_numpy().tolist()
    facts = zip(rows["image_id"], rows["label"], rows["source"], corners_of, strict=True)
    for image_id, label, source, corners in facts:
        try:
            image = decode_rgb(read_bytes(uris[image_id]))
        except (*UNREADABLE, KeyError, DataError):
            continue  # a finding of its own says what is wrong with the image
        if all(abs(value) < 1e6 for value in corners):  # neither NaN nor out of all bounds
            draw_box(image, corners, _WRONG)
        result.append(Picture(thumbnail(image), f"{label}: {source}"))
    return result
