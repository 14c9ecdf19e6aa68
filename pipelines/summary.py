"""What a run says at its end: the table, the reasons, and where model and report lie."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_metadata.metadata_store import MetadataStore

from classlift.gate.verdict import REPORT, VERDICT, read_verdict
from classlift.paths import replacing
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
from pipelines.nodes import GATE, PUSHER
from pipelines.places import EVALUATION, RUNS, Place


@dataclass(frozen=True)
class Summary:
    """The result of one run.

    verdict: as in `verdict.json`, and what became of it, see `read_result`; `served` says in words
    which version is served now, and since when. run: its id.
    """

    run: str
    verdict: dict[str, Any]
    report: Path
    nodes: list[dict[str, Any]]


def summarise(config: Place, run_id: str) -> Summary:
    """Collects the result of a run; copies `verdict.json` and `report.html` to the work folder.

    Raises EvaluationError when the run did not reach its gate, or its evaluation is damaged.
    """
    work = config.work
    store = open_store(connection_to(work))
    verdict, folder = read_result(store, config.name, run_id)
    verdict["served"] = describe_served(config.serving)
    (work / VERDICT).write_text(json.dumps(verdict, indent=1))
    shutil.copy(folder / REPORT, work / REPORT)
    run = work / RUNS / run_id
    note_result(store, config.name, run_id, run / EVALUATION)
    records = [json.loads(path.read_text()) for path in run.glob("*.json")]
    return Summary(run_id, verdict, work / REPORT, records)


def read_result(store: MetadataStore, pipeline: str, run_id: str) -> tuple[dict[str, Any], Path]:
    """The verdict of a run with what became of it, and the folder of its evaluation.

    `pushed` is the folder that its model was pushed to, by this run or, where all came from the
    cache, by an earlier one: `pushed_by_run`; both are None when it was not pushed. `approval` says
    who approved of that, where somebody was asked, `override` who pushed against the verdict.

    Raises EvaluationError when the run did not reach its gate, or its evaluation is damaged.
    """
    evaluation = output_artifact(store, pipeline, run_id, GATE.id, "ModelEvaluation")
    verdict = {**read_verdict(Path(evaluation.uri)), "pushed": None, "pushed_by_run": None}
    for model in output_artifacts(store, pipeline, run_id, PUSHER.id):
        if model.custom_properties["pushed"].int_value:
            verdict["pushed"] = model.custom_properties["pushed_destination"].string_value
            verdict["pushed_by_run"] = run_of(store, maker_of(store, model))
            approval = approval_of(model)
            if approval:
                verdict["approval"] = approval
    override = override_of(store, evaluation)
    if override:
        verdict["pushed"] = override.pop("pushed")
        verdict["pushed_by_run"] = override["run"]
        verdict["override"] = override
    return verdict, Path(evaluation.uri)


def note_result(store: MetadataStore, pipeline: str, run_id: str, folder: Path) -> None:
    """Adds what became of a run to its own copy of the verdict, in `folder`, where there is one."""
    path = folder / VERDICT
    if not path.exists():
        return
    verdict, _ = read_result(store, pipeline, run_id)
    with replacing(path) as draft:
        draft.write_text(json.dumps(verdict, indent=1))


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
    recall = verdict["recall"]
    lines += [
        "",
        f"Class {shown(target)}: recall {recall['as_deployed']:.3f} as deployed, "
        f"{recall['recalibrated']:.3f} recalibrated, "
        + ("not trained." if recall["trained"] is None else f"{recall['trained']:.3f} trained."),
        "",
        f"Verdict: {verdict['verdict']}",
        *(f"  {reason}" for reason in verdict["reasons"]),
        "",
        f"Pushed:  {_pushed(summary)}",
        f"Served:  {verdict['served']}",
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


def _pushed(summary: Summary) -> str:
    verdict = summary.verdict
    if verdict["pushed"] is None:
        return "nothing; the version served stays"
    override, approval = verdict.get("override"), verdict.get("approval")
    words = verdict["pushed"]
    if verdict["pushed_by_run"] != summary.run:
        version = Path(words).name
        words = f"nothing; run {verdict['pushed_by_run']} pushed this model, as version {version}"
    if override:
        words += f", by {override['by']} against the verdict: {override['reason']}"
    if approval:
        words += f", approved by {approval['by']}: {approval['reason']}"
    return words


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
