"""What a run says at its end: the table, the reasons, and where model and report lie."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ml_metadata.metadata_store import MetadataStore

from classlift.colour import Line
from classlift.errors import EvaluationError
from classlift.gate.outcome import copy_report
from classlift.gate.terminal import render_verdict
from classlift.gate.verdict import REPORT, VERDICT, Outcome, Verdict, read_evaluation
from classlift.serving.folder import describe_served
from classlift.text import did_you_mean
from pipelines.metadata import (
    approval_of,
    connection_to,
    latest_judged,
    maker_of,
    open_existing,
    open_store,
    output_artifact,
    output_artifacts,
    override_of,
    run_ids,
    run_of,
)
from pipelines.node_record import NodeRecord, read_all
from pipelines.nodes import GATE, PUSHER
from pipelines.places import EVALUATION, RUNS, Place


@dataclass(frozen=True)
class Summary:
    """The result of one run.

    Attributes:
        run: its id.
        verdict: with its outcome, of which `served` says in words which version is served now, and
            since when.

    """

    run: str
    verdict: Verdict
    report: Path
    nodes: Sequence[NodeRecord]


def summarise(config: Place, run_id: str) -> Summary:
    """Collects the result of a run; copies `verdict.json` and `report.html` to the work folder.

    Args:
        config: name and folders of the config.
        run_id: of the run.

    Returns:
        What is said of the run.

    Raises:
        EvaluationError: the run did not reach its gate, or its evaluation is damaged.

    """
    work = config.work
    store = open_store(connection_to(work))
    verdict, folder = read_result(store, config.name, run_id, describe_served(config.serving))
    verdict.write(work)
    _copy_report(folder, work, verdict, run_id)
    run = work / RUNS / run_id
    note_result(store, config.name, run_id, run / EVALUATION)
    return Summary(run_id, verdict, work / REPORT, read_all(run))


def read_latest(config: Place) -> Summary:
    """The result of the latest run that reached its gate, in Airflow or here.

    Args:
        config: name and folders of the config.

    Returns:
        What is said of the run, but for its nodes.

    Raises:
        EvaluationError: no run has reached its gate, or its evaluation is damaged.

    """
    store = open_existing(connection_to(config.work))
    run_id = latest_judged(store, config.name)
    verdict, folder = read_result(store, config.name, run_id, describe_served(config.serving))
    noted = config.work / RUNS / run_id / EVALUATION / REPORT
    return Summary(run_id, verdict, noted if noted.exists() else folder / REPORT, ())


def read_run(config: Place, run_id: str) -> Verdict:
    """The verdict of a run, with what became of it.

    Args:
        config: name and folders of the config.
        run_id: of the run.

    Returns:
        The verdict.

    Raises:
        EvaluationError: there is no such run, it did not reach its gate, or its files are damaged.

    """
    store = open_existing(connection_to(config.work))
    if run_id not in (known := run_ids(store)):
        raise EvaluationError(
            f"{config.name} has no run {run_id!r:.80}{did_you_mean(run_id, known)}; its folder "
            f"{config.work / RUNS} names those that left something."
        )
    return read_result(store, config.name, run_id)[0]


def read_result(
    store: MetadataStore, pipeline: str, run_id: str, served: str | None = None
) -> tuple[Verdict, Path]:
    """The result of a run.

    Args:
        store: ML Metadata.
        pipeline: name of the config.
        run_id: of the run.
        served: which version is served now, in words; None where that is not to be told.

    Returns:
        The verdict with what became of it, and the folder of its evaluation.

    Raises:
        EvaluationError: the run did not reach its gate, or its evaluation is damaged.

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
        _copy_report(evaluation, folder, verdict, run_id)


def _copy_report(evaluation: Path, to: Path, verdict: Verdict, run_id: str) -> None:
    """Copies the report of an evaluation into a folder, with what became of the run."""
    is_pushed = bool(verdict.outcome and verdict.outcome.pushed)
    copy_report(evaluation / REPORT, to / REPORT, verdict.became(run_id), is_pushed)


def render(summary: Summary) -> list[Line]:
    """The summary in lines for a terminal."""
    return [*render_verdict(summary.verdict), Line(""), *render_outcome(summary)]


def render_outcome(summary: Summary) -> list[Line]:
    """What became of a run, and where its report lies, in lines for a terminal."""
    outcome = summary.verdict.outcome or Outcome()
    return [
        Line(f"Pushed:  {summary.verdict.became(summary.run)}"),
        Line(f"Served:  {outcome.served}"),
        Line(f"Report:  {summary.report}"),
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
