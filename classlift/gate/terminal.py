"""A verdict in lines for a terminal."""

from collections.abc import Sequence
from itertools import zip_longest

from classlift.colour import BOLD, GREEN, PLAIN, RED, YELLOW, Line
from classlift.gate.verdict import (
    CANT_TELL,
    DOUBT,
    INCONCLUSIVE,
    LIFTED,
    NOT_LIFTED,
    NOT_READ,
    PUSH,
    REFUSAL,
    REFUSE,
    REGRESSED,
    Row,
    Verdict,
)
from classlift.text import shown

STYLES = {
    **dict.fromkeys((PUSH, LIFTED), GREEN),
    **dict.fromkeys((REFUSE, REFUSAL, REGRESSED, NOT_LIFTED), RED),
    **dict.fromkeys((INCONCLUSIVE, DOUBT, CANT_TELL, NOT_READ), YELLOW),
}
"""Of verdicts, levels of findings and the status of classes; the others are plain."""


def render_verdict(verdict: Verdict) -> list[Line]:
    """The tables of a verdict, its sentence, and what else was found."""
    rows = verdict.rows()
    recalls = [_recall_of_target(one) for one in (verdict, *verdict.beside)]
    lines = [*_as_judged(rows), Line(""), *_as_served(rows), Line(""), *recalls]
    return [*lines, Line(""), *sentences(verdict, between=(Line(""),))]


def sentences(verdict: Verdict, between: Sequence[Line] = ()) -> list[Line]:
    """The sentence on each target with what else was found, and what is left out of a push.

    Args:
        verdict: of the gate.
        between: lines between those of two targets.

    Returns:
        The lines.

    """
    lines: list[Line] = []
    for one in (verdict, *verdict.beside):
        lines += between if lines else ()
        lines.append(Line(one.sentence_of_target, STYLES[one.verdict]))
        lines += [Line(f"  {f.sentence}", STYLES.get(f.level, PLAIN)) for f in one.further]
    if verdict.left_out:
        lines += [*between, Line(verdict.sentence_of_left_out)]
    return lines


def _recall_of_target(verdict: Verdict) -> Line:
    recall = verdict.recall
    return Line(
        f"Class {shown(verdict.target)}: recall {recall.as_deployed:.3f} as deployed, "
        f"{recall.recalibrated:.3f} recalibrated, "
        + ("not trained." if recall.trained is None else f"{recall.trained:.3f} trained.")
    )


def _as_judged(rows: Sequence[Row]) -> list[Line]:
    """The recall of each class on test, where the gate read it, as a table."""
    lines: list[tuple[str, ...]] = [
        ("class", "objects", "before", "after", "change", "bound", "status")
    ]
    for row in rows:
        cells = [_figure(figure) for figure in row.recall]
        cells += [_figure(figure, "+.3f") for figure in (row.change, row.lower_bound)]
        mark = " <" if row.is_target else ""
        lines.append((shown(row.label), str(row.objects), *cells, row.status + mark))
    return table(lines, [STYLES.get(row.status, PLAIN) for row in rows])


def _as_served(rows: Sequence[Row]) -> list[Line]:
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


def table(rows: Sequence[tuple[str, ...]], styles: Sequence[str] = ()) -> list[Line]:
    """Lines of a table: the first and the last column to the left, numbers to the right.

    Args:
        rows: of as many cells each; the first is the heading.
        styles: of the rows below the heading; the rest is plain.

    Returns:
        A line a row.

    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    texts = [
        "  ".join(
            cell.ljust(width) if i in (0, len(row) - 1) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return [Line(*line) for line in zip_longest(texts, (BOLD, *styles), fillvalue=PLAIN)]
