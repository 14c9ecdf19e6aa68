"""The report: one self-contained HTML file with the verdict, the figures and the pictures."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from classlift.data.examples import example_files
from classlift.data.formats.tfrecord import encoded_images
from classlift.data.images import decode_rgb
from classlift.diagnosis.diagnosis import Diagnosis
from classlift.diagnosis.report import causes_chart
from classlift.gate.evidence import Comparison
from classlift.gate.verdict import (
    ABOUT,
    CANT_TELL,
    DOUBT,
    NOT_READ,
    NOT_WORSE,
    NOTE,
    REFUSAL,
    REGRESSED,
    UNCHANGED,
    Finding,
    Row,
    Verdict,
)
from classlift.metrics.confusion import confusion_matrix
from classlift.metrics.curves import precision_recall_curve
from classlift.metrics.iou import iou_matrix
from classlift.metrics.matching import Matches
from classlift.metrics.summary import FIGURES, SIZES
from classlift.metrics.taxonomy import KINDS, classify, costs, counts_at
from classlift.pages import Picture, axis_name, beside, draw_box, new_figure, render, svg

BEFORE, AFTER, LABEL = "#8a8f98", "#1668dc", "#2f9e44"
PICTURES = 12  # in each gallery
SHOWN_ROWS = 12  # classes of a table before the rest is folded
CHARTED = 30  # classes in the chart of recalls, whose names are to stay readable
CONFUSED = 10  # rivals of the target in the confusion

LEVELS = {REFUSAL: "refuses", DOUBT: "in doubt", NOTE: "noted"}
"""The levels of findings, in the report's words."""

SEVERITY = (REGRESSED, NOT_READ, CANT_TELL, NOT_WORSE, UNCHANGED)
"""The status of other classes, in the order in which a reader wants to see them."""

mpl.rcParams.update(
    {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)


def write_report(
    path: Path,
    verdict: Verdict,
    comparison: Comparison,
    summaries: Sequence[pd.DataFrame],
    diagnosis: Diagnosis,
    examples: Path,
) -> None:
    """Writes the report of one run of the gate.

    Args:
        path: of the HTML file.
        verdict: what the gate found.
        comparison: the figures behind it.
        summaries: champion's and challenger's on test, of `summary.summarize`.
        diagnosis: of the run's champion.
        examples: the Examples artifact, for the pictures of the test split.

    """
    target = verdict.target
    changed = changed_objects(comparison, target)
    path.write_text(
        page(
            verdict,
            diagnosis,
            summary=by_size(summaries, target),
            charts={
                "recall": svg(_recall_chart(by_change(verdict)[:CHARTED])),
                "causes": svg(causes_chart(diagnosis.causes)),
                "curves": svg(_curves_chart(comparison, target)),
                "confusion": svg(_confusion_chart(comparison, target)),
                "errors": svg(_errors_chart(comparison, target)),
            },
            galleries={
                name: _gallery(rows.head(PICTURES), comparison, examples)
                for name, rows in changed.items()
            },
            counts={name: len(rows) for name, rows in changed.items()},
        ),
        "utf-8",
    )


def page(
    verdict: Verdict,
    diagnosis: Diagnosis,
    summary: Mapping[str, Mapping[str, Sequence[tuple[float | None, float | None]]]],
    charts: Mapping[str, str],
    galleries: Mapping[str, Sequence[Picture]],
    counts: Mapping[str, int],
) -> str:
    """The page as HTML.

    Args:
        verdict: what the gate found.
        diagnosis: of the run's champion.
        summary: of `by_size`.
        charts: SVG by name.
        galleries: pictures of test objects, by what became of them.
        counts: how many such objects there are.

    Returns:
        The HTML; it runs where no script may, and searches and sorts where one may.

    """
    return render(
        Path(__file__).with_name("report.html.j2"),
        verdict=verdict,
        judged=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        rows=by_change(verdict),
        shown_rows=SHOWN_ROWS,
        kinds=by_kind(verdict.further),
        words=ABOUT,
        diagnosis=diagnosis,
        sizes=list(SIZES),
        summary=summary,
        charts=charts,
        galleries=galleries,
        counts=counts,
    )


def by_change(verdict: Verdict) -> list[Row]:
    """The rows: the target, classes that decided, then by status, the largest change first."""
    decided = {finding.label for finding in verdict.deciding}

    def place(row: Row) -> tuple[bool, bool, int, float]:
        severity = SEVERITY.index(row.status) if row.status in SEVERITY else 0
        return not row.is_target, row.label not in decided, severity, -abs(row.change or 0.0)

    return sorted(verdict.rows(), key=place)


def by_kind(findings: Sequence[Finding]) -> dict[tuple[str, str], list[Finding]]:
    """Findings by level and kind in words, in the order in which each is first met."""
    kinds: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        kinds.setdefault((LEVELS[finding.level], ABOUT[finding.rule]), []).append(finding)
    return kinds


def by_size(
    summaries: Sequence[pd.DataFrame], target: str
) -> dict[str, dict[str, list[tuple[float | None, float | None]]]]:
    """By whose and by figure, (before, after) for each size of object; None for no such object."""
    rows: list[tuple[str, list[pd.Series]]] = [
        (f"class {target}", [cast(pd.Series, table.loc[target]) for table in summaries]),
        ("mean of the others", [table.drop(target).mean() for table in summaries]),
    ]

    def shown(table: pd.Series, size: str, figure: str) -> float | None:
        value = float(table[size, figure])
        return None if np.isnan(value) else value

    return {
        whose: {
            figure: [(shown(before, size, figure), shown(after, size, figure)) for size in SIZES]
            for figure in FIGURES
        }
        for whose, (before, after) in rows
    }


def changed_objects(comparison: Comparison, target: str) -> dict[str, pd.DataFrame]:
    """Objects of the target by what became of them: found now, lost now, still missed."""
    before = comparison.champion.objects
    after = comparison.challenger.objects
    was = before["score"] >= before["label"].map(comparison.champion_points)
    now = after["score"] >= after["label"].map(comparison.challenger_points)
    of_target = after["label"] == target
    return {
        "found now": after[of_target & ~was & now],
        "lost now": after[of_target & was & ~now],
        "still missed": after[of_target & ~was & ~now],
    }


def _recall_chart(rows: Sequence[Row]) -> Figure:
    figure = new_figure(7.5, 0.34 * len(rows) + 0.9)
    axes = figure.subplots()
    places = np.arange(len(rows))
    for place, row in zip(places, rows, strict=True):
        before, after = row.recall
        if before is None or after is None:
            continue
        if row.lower_bound is not None and row.upper_bound is not None:
            bounds = [before + row.lower_bound, before + row.upper_bound]
            axes.plot(
                bounds, [place, place], color=AFTER, linewidth=6, alpha=0.25, solid_capstyle="butt"
            )
        axes.plot(before, place, "o", color=BEFORE, markersize=6)
        axes.plot(after, place, "o", color=AFTER, markersize=6)
    axes.plot([], [], "o", color=BEFORE, label="champion")
    axes.plot([], [], "o", color=AFTER, label="challenger, with 90% interval of the change")
    axes.set_yticks(places, [f"class {axis_name(row.label)}" for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("recall on test, each model at its operating points")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper left", ncols=2, frameon=False)
    return figure


def _curves_chart(comparison: Comparison, target: str) -> Figure:
    figure = new_figure(5, 3.6)
    axes = figure.subplots()
    for name, matches, points, colour in (
        ("champion", comparison.champion, comparison.champion_points, BEFORE),
        ("challenger", comparison.challenger, comparison.challenger_points, AFTER),
    ):
        curve = precision_recall_curve(matches, target)
        axes.plot(curve.recall, curve.precision, color=colour, label=name)
        kept = np.flatnonzero(curve.scores >= points[target])
        if len(kept):
            axes.plot(curve.recall[kept[-1]], curve.precision[kept[-1]], "o", color=colour)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axes.set_title(
        f"class {axis_name(target)} on test; the dots are the operating points", fontsize=9
    )
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower left")
    return figure


def rivals(tables: Sequence[npt.NDArray[np.int64]], target: int) -> list[int]:
    """The classes most often confused with the target by either model, in the label map's order.

    Args:
        tables: of `confusion_matrix`, one for each model.
        target: the target's place in the label map.

    Returns:
        Places in the label map, with the target's: `CONFUSED` others at most.

    """
    both = np.sum(tables, axis=0)
    mixed = (both[target] + both[:, target])[:-1].astype(float)
    mixed[target] = np.inf
    return sorted(np.argsort(-mixed, kind="stable")[: CONFUSED + 1].tolist())


def folded(table: npt.NDArray[np.int64], kept: Sequence[int]) -> npt.NDArray[np.int64]:
    """A confusion matrix of which all other classes are one, before the background."""
    classes = len(table) - 1
    others = [place for place in range(classes) if place not in kept]
    groups = [[place] for place in kept] + ([others] if others else []) + [[classes]]
    return np.array([[table[np.ix_(row, column)].sum() for column in groups] for row in groups])


def _confusion_chart(comparison: Comparison, target: str) -> Figure:
    models = (
        ("champion", comparison.champion, comparison.champion_points),
        ("challenger", comparison.challenger, comparison.challenger_points),
    )
    labels = comparison.champion.labels
    tables = [confusion_matrix(matches, points) for _, matches, points in models]
    kept = rivals(tables, list(labels).index(target))
    others = ["the others"] if len(kept) < len(labels) else []
    names = [*(axis_name(labels[place]) for place in kept), *others, "background"]
    figure = new_figure(9.5, 4.4)
    for axes, (title, *_), whole in zip(figure.subplots(1, 2), models, tables, strict=True):
        table = folded(whole, kept)
        shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(table):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, count, ha="center", va="center", fontsize=6, color=colour)
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="detected as", ylabel="labelled")
        axes.set_title(title, fontsize=9)
    return figure


def _errors_chart(comparison: Comparison, target: str) -> Figure:
    figure = new_figure(7.5, 2.4)
    axes = figure.subplots(1, 2)
    rows = np.arange(len(KINDS))
    for offset, name, matches, points, colour in (
        (-0.2, "champion", comparison.champion, comparison.champion_points, BEFORE),
        (0.2, "challenger", comparison.challenger, comparison.challenger_points, AFTER),
    ):
        taxonomy = classify(matches)
        counts = counts_at(matches, taxonomy, points, [target])[target]
        cost = costs(matches, taxonomy)[target]
        both: tuple[Mapping[str, float], ...] = (counts, cost)
        for pane, values in zip(axes, both, strict=True):
            pane.barh(
                rows + offset, [values[kind] for kind in KINDS], 0.38, color=colour, label=name
            )
    for pane, title in zip(
        axes, ("errors at the operating point", "AP50 that each kind costs"), strict=True
    ):
        pane.set_yticks(rows, KINDS)
        pane.invert_yaxis()
        pane.set_title(title, fontsize=9)
        pane.grid(axis="x", alpha=0.3)
    axes[0].legend(frameon=False)
    return figure


def _gallery(rows: pd.DataFrame, comparison: Comparison, examples: Path) -> list[Picture]:
    images = encoded_images(example_files(examples, "test"), set(rows["image_id"]))
    pictures = []
    boxes = rows[["xmin", "ymin", "xmax", "ymax"]].to_numpy()
    for row, image_id, box in zip(rows.index, rows["image_id"], boxes, strict=True):
        image = decode_rgb(images[image_id])
        views, words = [], []
        for name, matches, points, colour in (
            ("champion", comparison.champion, comparison.champion_points, BEFORE),
            ("challenger", comparison.challenger, comparison.challenger_points, AFTER),
        ):
            view, seen = image.copy(), detection_of(matches, row)
            draw_box(view, box.tolist(), LABEL)
            if seen is not None:
                draw_box(view, seen[["xmin", "ymin", "xmax", "ymax"]].tolist(), colour)
            views.append(view)
            words.append(f"{name}: {in_words(matches, row, seen, points)}")
        place = ", ".join(f"{side:.0f}" for side in box)
        caption = f"{image_id}, box {place}. {'; '.join(words)}"
        pictures.append(Picture(beside(*views), caption))
    return pictures


def detection_of(matches: Matches, row: int) -> pd.Series | None:
    """What a model detects at an object.

    Args:
        matches: of the model.
        row: of `matches.objects`.

    Returns:
        The detection that found the object, whatever its score; where none did, the highest-scored
        of any class that overlaps its box by half; None where there is none either.

    """
    found = matches.objects.loc[row]
    of_image = matches.detections[matches.detections["image_id"] == found["image_id"]]
    box = found[["xmin", "ymin", "xmax", "ymax"]].to_numpy(np.float64)[None]
    overlap = iou_matrix(of_image[["xmin", "ymin", "xmax", "ymax"]].to_numpy(np.float64), box)
    near = of_image[overlap[:, 0] >= 0.5]
    own = near[(near["label"] == found["label"]) & (near["score"] == found["score"])]
    near = near if own.empty else own
    return None if near.empty else near.iloc[int(near["score"].to_numpy().argmax())]


def in_words(
    matches: Matches, row: int, seen: pd.Series | None, points: Mapping[str, float]
) -> str:
    """Whether a model finds an object at its thresholds, and what it detects there."""
    found = matches.objects.loc[row]
    if seen is None:
        return "nothing here"
    threshold = points[str(seen["label"])]
    words = f"{seen['label']} at {seen['score']:.2f}"
    if np.isinf(threshold):
        return f"missed ({words}; no threshold has the precision asked for)"
    is_above = seen["score"] >= threshold
    is_found = is_above and seen["label"] == found["label"] and not np.isnan(found["score"])
    side = "at or above" if is_above else "below"
    return f"{'found' if is_found else 'missed'} ({words}, {side} its threshold {threshold:.2f})"
