"""What a run says at its end: the table, the reasons, and where model and report lie."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_metadata.metadata_store import MetadataStore

from components.recall_gate.verdict import REPORT, VERDICT, read_verdict
from components.text import shown
from pipelines.metadata import (
    connection_to,
    open_store,
    output_artifact,
    output_artifacts,
    override_of,
)


@dataclass(frozen=True)
class Summary:
    """The result of one run.

    verdict: as in `verdict.json`, `pushed` filled in, and `override` when a person pushed.
    """

    verdict: dict[str, Any]
    report: Path
    nodes: list[dict[str, Any]]


def summarise(work: Path, pipeline: str, run_id: str) -> Summary:
    """Collects the result of a run; copies `verdict.json` and `report.html` to the work folder.

    Raises EvaluationError when the run did not reach its gate, or its evaluation is damaged.
    """
    verdict, folder = read_result(open_store(connection_to(work)), pipeline, run_id)
    (work / VERDICT).write_text(json.dumps(verdict, indent=1))
    shutil.copy(folder / REPORT, work / REPORT)
    records = [json.loads(p.read_text()) for p in (work / "runs" / run_id).glob("*.json")]
    return Summary(verdict, work / REPORT, records)


def read_result(store: MetadataStore, pipeline: str, run_id: str) -> tuple[dict[str, Any], Path]:
    """The verdict of a run with what became of it, and the folder of its evaluation.

    Raises EvaluationError when the run did not reach its gate, or its evaluation is damaged.
    """
    evaluation = output_artifact(store, pipeline, run_id, "RecallGate", "ModelEvaluation")
    verdict = {**read_verdict(Path(evaluation.uri)), "pushed": None}
    for model in output_artifacts(store, pipeline, run_id, "Pusher"):
        if model.custom_properties["pushed"].int_value:
            verdict["pushed"] = model.custom_properties["pushed_destination"].string_value
    override = override_of(store, evaluation)
    if override:
        verdict["pushed"] = override.pop("pushed")
        verdict["override"] = override
    return verdict, Path(evaluation.uri)


def render(summary: Summary) -> str:
    """The summary as text for a terminal."""
    verdict, target = summary.verdict, summary.verdict["target"]
    rows = [("class", "objects", "before", "after", "change", "bound", "status")]
    for label, c in verdict["classes"].items():
        figures = (c["champion_recall"], c["challenger_recall"], c["lift"], c["lower_bound"])
        cells = ["-" if f is None else f"{f:.3f}" for f in figures[:2]]
        cells += ["-" if f is None else f"{f:+.3f}" for f in figures[2:]]
        mark = " <" if label == target else ""
        rows.append((shown(label), str(c["objects"]), *cells, c["status"] + mark))
    lines = _table(rows)
    lines += ["", *_as_served(verdict["classes"], target)]
    recall, override = verdict["recall"], verdict.get("override")
    pushed = verdict["pushed"] or "nothing; the version served stays"
    if override:
        pushed += f", by {override['by']} against the verdict: {override['reason']}"
    lines += [
        "",
        f"Class {shown(target)}: recall {recall['as_deployed']:.3f} as deployed, "
        f"{recall['recalibrated']:.3f} recalibrated, "
        + ("not trained." if recall["trained"] is None else f"{recall['trained']:.3f} trained."),
        "",
        f"Verdict: {verdict['verdict']}",
        *(f"  {reason}" for reason in verdict["reasons"]),
        "",
        f"Pushed:  {pushed}",
        f"Report:  {summary.report}",
    ]
    return "\n".join(lines)


def _as_served(classes: Mapping[str, Any], target: str) -> list[str]:
    """What production sees of each class on test before a push and after it, as a table."""
    rows = [("as production sees it", "threshold", "", "recall", "", "false alarms", "", "")]
    totals = [0, 0]
    for label, found in classes.items():
        served, cells = found["served"], []
        for name, digits in (("threshold", 3), ("recall", 3), ("false_alarms", 0)):
            cells += [
                "-" if served[name][when] is None else f"{served[name][when]:.{digits}f}"
                for when in ("before", "after")
            ]
        alarms = served["false_alarms"]
        totals = [totals[0] + alarms["before"], totals[1] + alarms["after"]]
        rows.append((shown(label), *cells, "<" if label == target else ""))
    rows.append(("all", "", "", "", "", *map(str, totals), ""))
    return _table(rows)


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
    for record in sorted(summary.nodes, key=lambda r: -r["seconds"]):
        lines.append(
            f"{record['node']:22}{record['outcome']:9}{record['seconds']:8.1f}"
            f"{record['import_seconds']:9.1f}"
        )
    total, imports = (sum(r[k] for r in summary.nodes) for k in ("seconds", "import_seconds"))
    lines.append(f"{'all nodes':31}{total:8.1f}{imports:9.1f}")
    return "\n".join(lines)
