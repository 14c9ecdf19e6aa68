"""The versions of a config that are served, or can be again, as `classlift versions` shows them.

The page *Models* in Airflow, which imports nothing of ours, reads the same files.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from classlift.colour import BOLD, Line
from classlift.errors import EvaluationError
from classlift.gate.terminal import table
from classlift.gate.verdict import VERDICT, Verdict
from classlift.serving.bundle import ENTRY
from classlift.serving.folder import served_versions
from classlift.serving.provenance import Provenance
from classlift.text import shown
from pipelines.places import EVALUATION, RUNS, Place

A_TIME = 1_000_000_000
"""Numbers of versions from here on are seconds since 1970: when they were made."""


@dataclass(frozen=True)
class Version:
    """One version.

    Attributes:
        number: its number.
        pushed: when, UTC in ISO 8601.
        target: the classes that were to be raised.
        verdict: of the gate; None where no run is left that tells.
        recall: of the target on test; None as the verdict.
        who: who decided, and why; empty where nothing tells.

    """

    number: int
    pushed: str
    target: tuple[str, ...]
    verdict: str | None
    recall: float | None
    who: str


def read_versions(config: Place) -> list[Version]:
    """The versions of a config, newest first; that is the one TF Serving serves.

    Args:
        config: name and folders of the config.

    Returns:
        The versions; none before the first push.

    Raises:
        ModelError: what a version says of itself is damaged.

    """
    verdicts = _verdicts(config.work)
    return [
        _version(config.serving / str(number), verdicts)
        for number in reversed(served_versions(config.serving))
    ]


def _verdicts(work: Path) -> dict[str, Verdict]:
    """The verdict of the run that pushed a version, by the version's name.

    Args:
        work: of the config.

    Returns:
        The verdicts; one that is damaged or of an older ClassLift is left out, for the others are
        shown.

    """
    found = {}
    for path in work.glob(f"{RUNS}/*/{EVALUATION}/{VERDICT}"):
        with suppress(EvaluationError):
            verdict = Verdict.read(path.parent)
            became = verdict.outcome
            if became and became.pushed and became.pushed_by_run == path.parents[1].name:
                found[Path(became.pushed).name] = verdict
    return found


def _version(folder: Path, verdicts: Mapping[str, Verdict]) -> Version:
    said = Provenance.read(folder / ENTRY)
    again = said.rollback_of
    verdict = verdicts.get(again.version if again else folder.name)
    number = int(folder.name)
    seconds = number if number >= A_TIME else folder.stat().st_mtime
    return Version(
        number,
        datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds"),
        said.targets,
        verdict.verdict if verdict else None,
        _recall(verdict) if verdict else None,
        _who(said, verdict is not None),
    )


def _recall(verdict: Verdict) -> float | None:
    """Of the target as it is served."""
    return verdict.recall.recalibrated if verdict.recalibrated else verdict.recall.trained


def _who(said: Provenance, is_judged: bool) -> str:
    """Who had it served, and why."""
    if again := said.rollback_of:
        return f"{again.by}, version {again.version} again: {again.reason}"
    if by := said.override:
        return f"{by.by}, the verdict being {by.verdict}: {by.reason}"
    if signed := said.approval:
        return f"the gate, approved by {signed.by}: {signed.reason}"
    return "the gate" if is_judged else ""


def to_json(versions: Sequence[Version]) -> list[dict[str, object]]:
    """The versions as `classlift versions --json` prints them."""
    return [asdict(version) | {"served": version is versions[0]} for version in versions]


def render(versions: Sequence[Version]) -> list[Line]:
    """The versions in lines for a terminal."""
    if not versions:
        return [Line("Nothing is pushed yet: the pre-trained model is served.")]
    rows = [("version", "pushed (UTC)", "target", "recall", "verdict", "by")]
    for version in versions:
        recall = "-" if version.recall is None else f"{version.recall:.3f}"
        rows.append(
            (
                str(version.number) + (", served now" if version is versions[0] else ""),
                version.pushed[:16].replace("T", " "),
                ", ".join(map(shown, version.target)),
                recall,
                version.verdict or "-",
                version.who,
            )
        )
    return table(rows, [BOLD])
