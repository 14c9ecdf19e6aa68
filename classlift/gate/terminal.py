"""A verdict as text for a terminal."""

from collections.abc import Sequence

from classlift.gate.verdict import Row, Verdict
from classlift.text import shown


def render_verdict(verdict: Verdict) -> str:
    """The tables of a verdict, its sentence, and what else was found, in lines."""
    rows, each = verdict.rows(), (verdict, *verdict.beside)
    lines = [
        *_as_judged(rows),
        "",
        *_as_served(rows),
        "",
        *map(_recall_of_target, each),
    ]
    for one in each:
        lines += ["", one.sentence_of_target, *(f"  {found.sentence}" for found in one.further)]
    if verdict.left_out:
        lines += ["", verdict.sentence_of_left_out]
    return "\n".join(lines)


def _recall_of_target(verdict: Verdict) -> str:
    recall = verdict.recall
    return (
        f"Class {shown(verdict.target)}: recall {recall.as_deployed:.3f} as deployed, "
        f"{recall.recalibrated:.3f} recalibrated, "
        + ("not trained." if recall.trained is None else f"{recall.trained:.3f} trained.")
    )


def _as_judged(rows: Sequence[Row]) -> list[str]:
    """The recall of each class on test, where the gate read it, as a table."""
    lines: list[tuple[str, ...]] = [
        ("class", "objects", "before", "after", "change", "bound", "status")
    ]
    for row in rows:
        cells = [_figure(figure) for figure in row.recall]
        cells += [_figure(figure, "+.3f") for figure in (row.change, row.lower_bound)]
        mark = " <" if row.is_target else ""
        lines.append((shown(row.label), str(row.objects), *cells, row.status + mark))
    return table(lines)


def _as_served(rows: Sequence[Row]) -> list[str]:
    """What production sees of each class on test before a push and after it, as a table."""
    lines: list[tuple[str, ...]] = [
        ("as production sees it", "threshold", "", "recall", "", "false alarms", "", "")
    ]
    for row in rows:
        cells = [_figure(figure) for figure in (*row.threshold, *row.served_recall)]
        cells += [_figure(figure, ".0f") for figure in row.false_alarms]
        lines.append((shown(row.label), *cells, "<" if row.is_target else ""))
    totals = (sum(row.false_alarms[when] for row in rows) for when in (0, 1))
    lines.append(("all", "", "", "", "", *(f"{total:.0f}" for total in totals), ""))
    return table(lines)


def _figure(figure: float | None, form: str = ".3f") -> str:
    return "-" if figure is None else format(figure, form)


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lines of a table: the first and the last column to the left, numbers to the right.

    Args:
        rows: of as many cells each; the first is the heading.

    Returns:
        A line a row.

    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i in (0, len(row) - 1) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
