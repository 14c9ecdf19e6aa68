"""The report: one self-contained HTML file with the verdict, the figures and the pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from classlift.diagnosis.diagnosis import Diagnosis
from classlift.diagnosis.report import causes_chart
from classlift.gate.charts import (
    confusion_charts,
    curves_chart,
    depths_chart,
    errors_charts,
    recall_chart,
    scores_charts,
)
from classlift.gate.evidence import Comparison
from classlift.gate.gallery import Pair, changed_objects, gallery
from classlift.gate.verdict import (
    ABOUT,
    CANT_TELL,
    DOUBT,
    INCONCLUSIVE,
    NOT_READ,
    NOT_WORSE,
    NOTE,
    PUSH,
    REFUSAL,
    REFUSE,
    REGRESSED,
    UNCHANGED,
    Finding,
    Row,
    Verdict,
)
from classlift.metrics.summary import FIGURES, SIZES
from classlift.pages import render, svg
from classlift.settings.field import fields_of
from classlift.settings.recipe import Recipe
from classlift.training.depths import Depths

PICTURES = 12  # in each gallery
SHOWN_ROWS = 12  # classes of a table before the rest is folded
CHARTED = 30  # classes in the chart of recalls, whose names are to stay readable

CHARTS = ("recall", "causes", "curves", "errors", "confusion")
"""What the charts of a page are called."""

COLUMNS = {
    "objects": "labelled objects of the class on test, crowds left out",
    "recall": "share of the labelled objects that the model finds: a box of the class with an IoU "
    "of at least 0.5, at or above the score threshold",
    "change": "after less before",
    "lower bound": "one-sided: with the confidence that stands above, the true change is no lower",
    "precision": "share of the model's boxes that find an object; the small figure is its "
    "one-sided 90% lower bound",
    "AP50": "average precision at IoU 0.5 over all score thresholds (COCO): the ranking, wherever "
    "one cuts",
    "mean IoU": "how well the boxes fit, of the objects that both models find",
    "detectable drop": "fall of the recall that this test set would show in four of five cases: "
    "smaller ones it can hide",
    "threshold": "the lowest score at which production takes a box of the class",
    "false alarms": "boxes at the threshold that find no object",
    "status": "unchanged: the same boxes and scores to the bit; not worse: a drop is ruled out; "
    "can't tell: too few objects to rule it out; not read: no threshold with the precision, or no "
    "objects; regressed: fell for sure",
}
"""What the columns of the tables mean."""

BEFORE = {
    PUSH: "Not pushed yet when this page was written; the push follows.",
    REFUSE: "Not pushed; the version served stays.",
    INCONCLUSIVE: "Not pushed when this page was written; a person may push it.",
}
"""What a page says of the push before one could be, by verdict."""

LEVELS = {REFUSAL: "against a push", DOUBT: "in doubt", NOTE: "noted"}
"""The levels of findings, in the report's words."""

SEVERITY = (REGRESSED, NOT_READ, CANT_TELL, NOT_WORSE, UNCHANGED)
"""The status of other classes, in the order in which a reader wants to see them."""


@dataclass(frozen=True)
class AboutTarget:
    """What the report shows of one target.

    Attributes:
        verdict: on it.
        diagnosis: of the champion.
        charts: by name of `CHARTS`.
        galleries: pictures of test objects, by what became of them.
        counts: how many such objects there are.

    """

    verdict: Verdict
    diagnosis: Diagnosis
    charts: Mapping[str, Sequence[str]]
    galleries: Mapping[str, Sequence[Pair]]
    counts: Mapping[str, int]

    @classmethod
    def of(
        cls, verdict: Verdict, comparison: Comparison, diagnosis: Diagnosis, examples: Path
    ) -> "AboutTarget":
        """Draws the charts, and the pictures of the Examples."""
        target = verdict.target
        changed = changed_objects(comparison, target)
        return cls(
            verdict,
            diagnosis,
            charts={
                "recall": [svg(recall_chart(charted(verdict), verdict.confidence))],
                "causes": [svg(causes_chart(diagnosis.causes))],
                "curves": [
                    svg(curves_chart(comparison, target)),
                    *map(svg, scores_charts(comparison, target)),
                ],
                "confusion": list(map(svg, confusion_charts(comparison, target))),
                "errors": list(map(svg, errors_charts(comparison, target))),
            },
            galleries={
                name: gallery(rows.head(PICTURES), comparison, examples)
                for name, rows in changed.items()
            },
            counts={name: len(rows) for name, rows in changed.items()},
        )


def write_report(
    path: Path,
    verdict: Verdict,
    comparisons: Mapping[str, Comparison],
    summaries: Sequence[pd.DataFrame],
    diagnosis: Diagnosis,
    examples: Path,
    depths: Depths | None = None,
    verified: Sequence[str] = (),
) -> None:
    """Writes the report of one run of the gate.

    Args:
        path: of the HTML file.
        verdict: what the gate found.
        comparisons: the figures behind it, by target.
        summaries: champion's and challenger's on test, of `summary.summarize`.
        diagnosis: of the run's champion.
        examples: the Examples artifact, for the pictures of the test split.
        depths: how deep the branch begins, where eval chose it.
        verified: sentences on the verifiers of branches.

    """
    if depths is not None:
        recipe = replace(diagnosis.recipe, freeze_policy=depths.deepest)
        diagnosis = replace(diagnosis, recipe=recipe)
    of_target = {one.weakness.target: one for one in (diagnosis, *diagnosis.beside)}
    first, *beside = (
        AboutTarget.of(
            each, comparisons[each.target], of_target.get(each.target, diagnosis), examples
        )
        for each in (verdict, *verdict.beside)
    )
    html = page(
        first.verdict,
        replace(first.diagnosis, rebalanced=diagnosis.rebalanced, overridden=diagnosis.overridden),
        by_size(summaries, verdict.target),
        first.charts,
        first.galleries,
        first.counts,
        beside,
        depths,
        verified,
    )
    path.write_text(html, "utf-8")


def page(
    verdict: Verdict,
    diagnosis: Diagnosis,
    summary: Mapping[str, Mapping[str, Sequence[tuple[float | None, float | None]]]],
    charts: Mapping[str, Sequence[str]],
    galleries: Mapping[str, Sequence[Pair]],
    counts: Mapping[str, int],
    beside: Sequence[AboutTarget] = (),
    depths: Depths | None = None,
    verified: Sequence[str] = (),
) -> str:
    """The page as HTML.

    Args:
        verdict: what the gate found.
        diagnosis: of the run's champion.
        summary: of `by_size`.
        charts: by name of `CHARTS`, SVGs that stand side by side where there is room.
        galleries: pictures of test objects, by what became of them.
        counts: how many such objects there are.
        beside: what is shown of the other targets.
        depths: how deep the branch begins, where eval chose it.
        verified: sentences on the verifiers of branches.

    Returns:
        The HTML; it runs where no script may, and searches and sorts where one may.

    """
    every = [(verdict, diagnosis), *((part.verdict, part.diagnosis) for part in beside)]
    champion = {on.target: found.weakness.ap50 for on, found in every}
    return render(
        Path(__file__).with_name("report.html.j2"),
        verdict=verdict,
        judged=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        rows=by_change(verdict),
        shown_rows=SHOWN_ROWS,
        kinds=by_kind(verdict.further),
        words=ABOUT,
        before=BEFORE[verdict.verdict],
        columns=COLUMNS,
        changed_settings=changed_settings(diagnosis.recipe),
        changed_counts=changed_counts(diagnosis),
        charted=charted(verdict),
        diagnosis=diagnosis,
        sizes=list(SIZES),
        summary=summary,
        charts=charts,
        galleries=galleries,
        counts=counts,
        depths=depths,
        depths_chart=svg(depths_chart(depths, champion)) if depths else "",
        verified=verified,
        beside=[(by_kind(part.verdict.further), part) for part in beside],
    )


def charted(verdict: Verdict) -> list[Row]:
    """The rows of the chart of recalls: those that may have changed, the target first."""
    moved = [row for row in by_change(verdict) if row.is_target or row.status != UNCHANGED]
    return moved[:CHARTED]


def changed_settings(recipe: Recipe) -> list[tuple[str, str, str, str]]:
    """Name, value, default and help of the parts of a recipe that are not their default."""
    plain = Recipe()
    changed = [
        (field.name, str(getattr(recipe, field.name)), field.default_words(), field.setting.help)
        for field in fields_of(Recipe)
        if getattr(recipe, field.name) != getattr(plain, field.name)
    ]
    if recipe.class_weights:
        weights = ", ".join(f"{name} {weight:g}" for name, weight in recipe.class_weights.items())
        about = "Factor on the loss of each box, by class; 1 where a class is not named."
        changed.append(("class_weights", weights, "none", about))
    return changed


def changed_counts(diagnosis: Diagnosis) -> list[tuple[str, int, int]]:
    """Class, and boxes of train before and after rebalancing, where they are not as many."""
    if diagnosis.rebalanced is None:
        return []
    before, after = diagnosis.rebalanced.boxes_before, diagnosis.rebalanced.boxes_after
    rows = [(label, before[label], count) for label, count in after.items()]
    changed = [row for row in rows if row[1] != row[2]]
    target = diagnosis.weakness.target
    return sorted(changed, key=lambda row: (row[0] != target, -abs(row[2] - row[1])))


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
