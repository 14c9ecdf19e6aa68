"""The charts of the report: a figure each, for two to stand side by side or one below the other."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from classlift.gate.evidence import Comparison
from classlift.gate.verdict import Row
from classlift.metrics.confusion import confusion_matrix
from classlift.metrics.curves import precision_recall_curve
from classlift.metrics.matching import Matches
from classlift.metrics.taxonomy import KINDS, classify, costs, counts_at
from classlift.pages import axis_name, new_figure
from classlift.training.depths import Depths

BEFORE, AFTER, WRONG, INK = "#8a8f98", "#1668dc", "#d6336c", "#1c2026"
CONFUSED = 10  # rivals of the target in the confusion

mpl.rcParams.update(
    {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)


def depths_chart(depths: Depths, champion: Mapping[str, float]) -> Figure:
    """AP50 on eval of each depth that was trained, against the work of one inference.

    Args:
        depths: as they were trained.
        champion: its AP50 on eval, 0 to 1, of each class that is to be raised; NaN where it does
            not have the class.

    Returns:
        The figure, with axes for each class.

    """
    figure = new_figure(7.5, 3 * len(depths.chosen))
    every = figure.subplots(len(depths.chosen), sharex=True, squeeze=False)[:, 0]
    for axes, label in zip(every, depths.chosen, strict=True):
        _plot_depths(axes, depths, label, champion[label])
        axes.set_ylabel("AP50 on eval")
        axes.set_title(axis_name(label))
    every[-1].set_xlim(0.95, 1.25 * max(depths.max_inference, *(d.cost for d in depths.trained)))
    every[-1].set_xlabel("work of one inference, of the champion's; dotted: max_inference")
    return figure


def _plot_depths(axes: Axes, depths: Depths, label: str, champion: float) -> None:
    points = [(1.0, champion, "champion", INK)]
    for depth in depths.trained:
        colour = AFTER if depth.policy == depths.chosen[label] else BEFORE
        points.append((depth.cost, depth.ap50[label], depth.policy, colour))
    for number, (cost, ap50, name, colour) in enumerate(points):
        axes.plot(cost, ap50, "o", color=colour)
        axes.annotate(  # above and below in turn, for some lie close together
            name,
            (cost, ap50),
            xytext=(0, (8, -15)[number % 2]),
            textcoords="offset points",
            fontsize=8,
            color=colour,
        )
    axes.axvline(depths.max_inference, color=BEFORE, linestyle=":", linewidth=1)
    axes.margins(y=0.3)


def recall_chart(rows: Sequence[Row], confidence: float) -> Figure:
    """Recall of each class before and after, with the interval of its change.

    Args:
        rows: the classes, from top to bottom.
        confidence: of the bounds, one-sided.

    Returns:
        The figure.

    """
    figure = new_figure(8, 0.32 * len(rows) + 1.1)
    axes = figure.subplots()
    for place, row in enumerate(rows):
        before, after = row.recall
        if before is None or after is None:
            continue
        if row.lower_bound is not None and row.upper_bound is not None:
            bounds = np.clip([before + row.lower_bound, before + row.upper_bound], 0, 1)
            axes.plot(
                bounds, [place, place], color=AFTER, linewidth=6, alpha=0.25, solid_capstyle="butt"
            )
        axes.plot(before, place, "o", color=BEFORE, markersize=6)
        axes.plot(after, place, "o", color=AFTER, markersize=6)
    axes.plot([], [], "o", color=BEFORE, label="champion")
    words = f"challenger, with {_percent(confidence)} interval of the change"
    axes.plot([], [], "o", color=AFTER, label=words)
    axes.set_yticks(range(len(rows)), [axis_name(row.label) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("recall on test, where the gate reads each model")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper left", ncols=2, frameon=False)
    return figure


def _percent(confidence: float) -> str:
    """The two-sided confidence of the interval between two one-sided bounds."""
    return f"{100 * (2 * confidence - 1):.3g}%"


def _models(comparison: Comparison) -> tuple[tuple[str, Matches, dict[str, float], str], ...]:
    """Champion and challenger on test: name, matches, thresholds that each is read at, colour."""
    return (
        ("champion", comparison.champion, comparison.champion_points, BEFORE),
        ("challenger", comparison.challenger, comparison.challenger_points, AFTER),
    )


def curves_chart(comparison: Comparison, target: str) -> Figure:
    """Precision over recall of the target in both models, with the thresholds as dots."""
    figure, axes = _pane("precision and recall on test")
    for name, matches, points, colour in _models(comparison):
        curve = precision_recall_curve(matches, target)
        axes.plot(curve.recall, curve.precision, color=colour, label=name)
        kept = np.flatnonzero(curve.scores >= points[target])
        if len(kept):
            axes.plot(curve.recall[kept[-1]], curve.precision[kept[-1]], "o", color=colour)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower left")
    return figure


def scores_charts(comparison: Comparison, target: str) -> list[Figure]:
    """How the scores of the target lie: of detections that match an object, and of the others.

    Args:
        comparison: both models on test.
        target: the class.

    Returns:
        The champion's figure and the challenger's, on the same axes.

    """
    bins = np.linspace(0, 1, 26)
    counts = []
    for _, matches, *_ in _models(comparison):
        own = matches.detections[matches.detections["label"] == target]
        is_match = own["is_match"].to_numpy(bool)
        scores = own["score"].to_numpy(np.float64)
        counts.append([np.histogram(scores[kept], bins)[0] for kept in (is_match, ~is_match)])
    highest = max(1, int(np.max(counts)))
    figures = []
    for (name, _, points, colour), (right, wrong) in zip(_models(comparison), counts, strict=True):
        figure, axes = _pane(f"{name}'s scores on test, threshold {points[target]:.3f}")
        axes.stairs(right, bins, fill=True, color=colour, alpha=0.75, label="finds an object")
        axes.stairs(wrong, bins, color=WRONG, linewidth=1.5, label="finds none")
        if np.isfinite(points[target]):
            axes.axvline(points[target], color=INK, linestyle=":")
        # Most detections have hardly a score at all, and would flatten the rest.
        axes.set_yscale("symlog", linthresh=10)
        axes.yaxis.set_major_formatter("{x:.0f}")
        axes.set(xlim=(0, 1), ylim=(0, 4 * highest), xlabel="score", ylabel="detections")
        axes.legend(frameon=False, loc="upper left", ncols=2)
        figures.append(figure)
    return figures


def _pane(title: str) -> tuple[Figure, Axes]:
    """One of two charts side by side."""
    figure = new_figure(5, 3.2)
    axes = figure.subplots()
    axes.set_title(title, fontsize=9)
    return figure, axes


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


def confusion_charts(comparison: Comparison, target: str) -> list[Figure]:
    """Confusion of the target, its rivals and the background.

    Args:
        comparison: both models on test.
        target: the class.

    Returns:
        The champion's figure and the challenger's.

    """
    labels = comparison.champion.labels
    models = _models(comparison)
    tables = [confusion_matrix(matches, points) for _, matches, points, _ in models]
    kept = rivals(tables, list(labels).index(target))
    others = ["the others"] if len(kept) < len(labels) else []
    names = [*(axis_name(labels[place]) for place in kept), *others, "background"]
    figures = []
    for (title, *_), whole in zip(models, tables, strict=True):
        table = folded(whole, kept)
        shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        figure = new_figure(5, 4.6)
        axes = figure.subplots()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(table):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(
                    column, row, str(count), ha="center", va="center", fontsize=7, color=colour
                )
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="detected as", ylabel="labelled")
        axes.set_title(title, fontsize=9)
        figures.append(figure)
    return figures


def errors_charts(comparison: Comparison, target: str) -> list[Figure]:
    """Kinds of error of the target in both models.

    Args:
        comparison: both models on test.
        target: the class.

    Returns:
        How many of each kind at the thresholds, and the AP50 that each kind costs.

    """
    rows = np.arange(len(KINDS))
    panes = [_pane(title) for title in ("errors at the threshold", "AP50 that each kind costs")]
    for offset, (name, matches, points, colour) in zip(
        (-0.2, 0.2), _models(comparison), strict=True
    ):
        taxonomy = classify(matches)
        counts = counts_at(matches, taxonomy, points, [target])[target]
        cost = costs(matches, taxonomy)[target]
        both: tuple[Mapping[str, float], ...] = (counts, cost)
        for (_, axes), values in zip(panes, both, strict=True):
            widths = [values[kind] for kind in KINDS]
            axes.barh(rows + offset, widths, 0.38, color=colour, label=name)
    for _, axes in panes:
        axes.set_yticks(rows, KINDS)
        axes.invert_yaxis()
        axes.grid(axis="x", alpha=0.3)
        axes.legend(frameon=False)
    return [figure for figure, _ in panes]
