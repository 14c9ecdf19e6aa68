"""What a run says at its end: the table, the reasons, and where model and report lie."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import EvaluationError
from pipelines.metadata import open_store, output_artifacts


@dataclass(frozen=True)
class Summary:
    """The result of one run. verdict: as in `verdict.json`, `pushed` filled in."""

    verdict: dict[str, Any]
    report: Path
    nodes: list[dict[str, Any]]


def summarise(work: Path, pipeline: str, run_id: str) -> Summary:
    """Collects the result of a run; copies `verdict.json` and `report.html` to the work folder.

    Raises EvaluationError when the run did not reach its gate.
    """
    store = open_store(work / "metadata.db")
    evaluations = [
        artifact
        for artifact in output_artifacts(store, pipeline, run_id, "RecallGate")
        if (Path(artifact.uri) / "verdict.json").exists()
    ]
    if not evaluations:
        raise EvaluationError(f"Run {run_id} has no verdict: it did not reach its gate.")
    folder = Path(evaluations[0].uri)
    verdict = json.loads((folder / "verdict.json").read_text())
    for model in output_artifacts(store, pipeline, run_id, "Pusher"):
        if model.custom_properties["pushed"].int_value:
            verdict["pushed"] = model.custom_properties["pushed_destination"].string_value
    (work / "verdict.json").write_text(json.dumps(verdict, indent=1))
    shutil.copy(folder / "report.html", work / "report.html")
    records = [json.loads(p.read_text()) for p in (work / "runs" / run_id).glob("*.json")]
    return Summary(verdict, work / "report.html", records)


def render(summary: Summary) -> str:
    """The summary as text for a terminal."""
    verdict, target = summary.verdict, summary.verdict["target"]
    rows = [("class", "objects", "before", "after", "change", "bound", "status")]
    for label, c in verdict["classes"].items():
        figures = (c["champion_recall"], c["challenger_recall"], c["lift"], c["lower_bound"])
        shown = ["-" if f is None else f"{f:.3f}" for f in figures[:2]]
        shown += ["-" if f is None else f"{f:+.3f}" for f in figures[2:]]
        mark = " <" if label == target else ""
        rows.append((label, str(c["objects"]), *shown, c["status"] + mark))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if i in (0, 6) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    recall = verdict["recall"]
    lines += [
        "",
        f"Class {target}: recall {recall['as_deployed']:.3f} as deployed, "
        f"{recall['recalibrated']:.3f} recalibrated, {recall['trained']:.3f} trained.",
        "",
        f"Verdict: {verdict['verdict']}",
        *(f"  {reason}" for reason in verdict["reasons"]),
        "",
        f"Pushed:  {verdict['pushed'] or 'nothing; the version served stays'}",
        f"Report:  {summary.report}",
    ]
    return "\n".join(lines)


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
