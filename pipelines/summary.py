"""What a run says at its end: the table, the reasons, and where model and report lie."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ml_metadata.metadata_store import MetadataStore

from classlift.gate.outcome import copy_report
from classlift.gate.verdict import REPORT, VERDICT, Outcome, Row, Verdict, read_evaluation
from classlift.serving.folder import describe_served
from classlift.text import shown
from pipelines.metadata import (
    approval_of,
    connection_to,
    maker_of,
    open_store,
    output_artifact,
    output_artifacts,
    override_of,
    run_of,
)
from pipelines.node_record import NodeRecord, read_all
from pipelines.nodes import GATE, PUSHER
from pipelines.places import EVALUATION, RUNS, Place


@dataclass(frozen=True)
class Summary:
    """The result of one run.

    run: its id. verdict: with its outcome, of which `served` says in words which version is served
    now, and since when.
    """

    run: str
    verdict: Verdict
    report: Path
    nodes: Sequence[NodeRecord]


def summarise(config: Place, run_id: str) -> Summary:
    """Collects the result of a run; copies `verdict.json` and `report.html` to the work folder.

    Raises EvaluationError when the run did not reach its gate, or its evaluation is damaged.
    """
    work = config.work
    store = open_store(connection_to(work))
    verdict, folder = read_result(store, config.name, run_id, describe_served(config.serving))
    verdict.write(work)
    copy_report(folder / REPORT, work / REPORT, verdict.became(run_id))
    run = work / RUNS / run_id
    note_result(store, config.name, run_id, run / EVALUATION)
    return Summary(run_id, verdict, work / REPORT, read_all(run))


def read_result(
    store: MetadataStore, pipeline: str, run_id: str, served: str | None = None
) -> tuple[Verdict, Path]:
    """The verdict of a run with what became of it, and the folder of its evaluation.

    served: which version is served now, in words; None where that is not to be told.

    Raises EvaluationError when the run did not reach its gate, or its evaluation is damaged.
    """
    evaluation = output_artifact(store, pipeline, run_id, GATE.id, "ModelEvaluation")
    verdict = read_evaluation(Path(evaluation.uri))
    outcome = Outcome(served=served)
    for model in output_artifacts(store, pipeline, run_id, PUSHER.id):
        if model.custom_properties["pushed"].int_value:
            outcome = replace(
                outcome,
                pushed=model.custom_properties["pushed_destination"].string_value,
                pushed_by_run=run_of(store, maker_of(store, model)),
                approval=approval_of(model) or outcome.approval,
            )
    override = override_of(store, evaluation)
    if override is not None:
        by, pushed = override
        outcome = replace(outcome, pushed=pushed, pushed_by_run=by.run, override=by)
    return replace(verdict, outcome=outcome), Path(evaluation.uri)


def note_result(store: MetadataStore, pipeline: str, run_id: str, folder: Path) -> None:
    """Adds what became of a run to its own verdict and report, in `folder`, where it has them."""
    if (folder / VERDICT).exists():
        verdict, evaluation = read_result(store, pipeline, run_id)
        verdict.write(folder)
        copy_report(evaluation / REPORT, folder / REPORT, verdict.became(run_id))


def render(summary: Summary) -> str:
    """The summary as text for a terminal."""
    verdict = summary.verdict
    outcome = verdict.outcome or Outcome()
    lines = [
        render_verdict(verdict),
        "",
        f"Pushed:  {verdict.became(summary.run)}",
        f"Served:  {outcome.served}",
        f"Report:  {summary.report}",
    ]
    return "\n".join(lines)


def render_verdict(verdict: Verdict) -> str:
    """A verdict as text for a terminal: its two tables, its sentence, and what else was found."""
    recall, rows = verdict.recall, verdict.rows()
    lines = [
        *_as_judged(rows),
        "",
        *_as_served(rows),
        "",
        f"Class {shown(verdict.target)}: recall {recall.as_deployed:.3f} as deployed, "
        f"{recall.recalibrated:.3f} recalibrated, "
        + ("not trained." if recall.trained is None else f"{recall.trained:.3f} trained."),
        "",
        verdict.sentence,
        *(f"  {finding.sentence}" for finding in verdict.further),
    ]
    return "\n".join(lines)


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
    return _table(lines)


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
    return _table(lines)


def _figure(figure: float | None, form: str = ".3f") -> str:
    return "-" if figure is None else format(figure, form)


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lines of a table: the first and the last column to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i in (0, len(row) - 1) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def render_times(summary: Summary) -> str:
    """How long each node took, and how much of it was imports."""
    lines = [f"{'node':22}{'':9}{'seconds':>8}{'imports':>9}"]
    for record in sorted(summary.nodes, key=lambda r: -r.seconds):
        lines.append(
            f"{record.node:22}{record.outcome:9}{record.seconds:8.1f}{record.import_seconds:9.1f}"
        )
    total = sum(record.seconds for record in summary.nodes)
    imports = sum(record.import_seconds for record in summary.nodes)
    lines.append(f"{'all nodes':31}{total:8.1f}{imports:9.1f}")
    return "\n".join(lines)
