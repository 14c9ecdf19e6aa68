"""The validation report: one self-contained HTML file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from classlift.data.images import UNREADABLE, decode_rgb
from classlift.data.media import read_bytes
from classlift.data.schema import SPLITS
from classlift.errors import DataError
from classlift.pages import Picture, axis_name, draw_box, new_figure, render, svg, thumbnail
from classlift.quality.findings import CRITICAL, Finding
from classlift.quality.suspicions import Suspicion, pictures

CLASSES = 100
"""In the chart, those with the most boxes; the table beside it has all."""

PICTURES = 6  # of each broken rule
_COLOURS = ("#1668dc", "#8a8f98", "#2f9e44")
_WRONG = "#d6336c"


def write_report(
    path: Path,
    boxes: pd.DataFrame,
    images: pd.DataFrame,
    findings: Sequence[Finding],
    suspicions: Sequence[Suspicion],
    docs: str,
) -> None:
    """Writes the report.

    boxes, images: the validator's frames; findings: its `Finding`s; docs: the address of the Data
    Docs, as seen from the report.
    """
    counts = pd.crosstab(boxes["label"], boxes["split"]).reindex(columns=SPLITS, fill_value=0)
    sound = images[images["phash"] != ""]  # the others are never decoded
    uris = dict(zip(sound["image_id"], sound["uri"], strict=True))
    html = render(
        Path(__file__).with_name("report.html.j2"),
        images=images["split"].value_counts().reindex(SPLITS, fill_value=0).to_dict(),
        counts={str(label): row.to_dict() for label, row in counts.iterrows()},
        chart=svg(_chart(counts)) if len(counts) else "",
        critical=sum(f.severity == CRITICAL for f in findings),
        findings=[(f, _pictures(f, boxes, uris)) for f in findings],
        suspicions=suspicions,
        suspicious=pictures(suspicions, lambda image_id: read_bytes(uris[image_id])),
        docs=docs,
    )
    path.write_text(html, "utf-8")


def write_relabel_page(path: Path, found: Sequence[Suspicion], shown: Sequence[Picture]) -> None:
    """Writes the page of labels that a model doubts, alone."""
    html = render(Path(__file__).with_name("relabel.html.j2"), suspicions=found, suspicious=shown)
    path.write_text(html, "utf-8")


def _chart(counts: pd.DataFrame) -> Figure:
    counts = counts[counts.index.isin(counts.sum(axis=1).nlargest(CLASSES).index)]
    figure = new_figure(7.5, 0.3 * len(counts) + 0.9)
    axes = figure.subplots()
    left, rows = np.zeros(len(counts)), np.arange(len(counts))
    for split, colour in zip(SPLITS, _COLOURS, strict=True):
        axes.barh(rows, counts[split], left=left, color=colour, label=split, height=0.7)
        left = left + counts[split].to_numpy()
    axes.set_yticks(rows, [axis_name(str(label)) for label in counts.index])
    axes.invert_yaxis()
    axes.set_xlabel("boxes")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper left", ncols=len(SPLITS), frameon=False)
    return figure


def _pictures(finding: Finding, boxes: pd.DataFrame, uris: dict[str, str]) -> list[Picture]:
    """The boxes that break a rule, outlined; none where the image itself can't be shown."""
    result = []
    rows = boxes[boxes["box_id"].isin(finding.box_ids[:PICTURES])]
    for row in rows.itertuples():
        corners = [row.xmin, row.ymin, row.xmax, row.ymax]
        try:
            image = decode_rgb(read_bytes(uris[row.image_id]))
        except (*UNREADABLE, KeyError, DataError):
            continue  # a finding of its own says what is wrong with the image
        if all(abs(value) < 1e6 for value in corners):  # neither NaN nor out of all bounds
            draw_box(image, corners, _WRONG)
        result.append(Picture(thumbnail(image), f"{row.label}: {row.source}"))
    return result
