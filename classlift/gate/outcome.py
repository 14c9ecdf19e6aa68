"""What became of a run, in its report: the gate writes the page before any push."""

import html
from pathlib import Path

from classlift.paths import replacing

START, END = "<!--outcome-->", "<!--/outcome-->"
"""What the words stand between; names from data are escaped, and can hold neither."""


def copy_report(report: Path, to: Path, outcome: str, is_pushed: bool) -> None:
    """Copies a report with what became of its run.

    Args:
        report: as the gate wrote it; one of before these words were part of it is copied as it is.
        to: the copy, replaced whole or not at all.
        outcome: where the model was pushed to and by whom, in words.
        is_pushed: whether it was, by this run or another; the page's next steps follow.

    """
    page = report.read_text("utf-8")
    before, start, rest = page.partition(START)
    _, end, after = rest.partition(END)
    if end:
        words = f"Pushed: {html.escape(outcome.removesuffix('.'))}."
        state = "pushed" if is_pushed else "open"
        page = f'{before}{start}<p class="{state}">{words}</p>{end}{after}'
    with replacing(to) as draft:
        draft.write_text(page, "utf-8")
