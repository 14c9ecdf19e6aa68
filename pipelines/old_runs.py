"""Removes what old runs of a config left behind, and nothing that is still needed.

What goes is what ML Metadata say a run of this very config made, at the place where runs put it:
anything else in these folders is not ours to judge. What stays:

- the newest runs (`runs`), all younger ones (`days`), those that are not over, and the latest that
  reached its gate; with all that they read or put out, also where that came from an older run's
  cache;
- of each run whose model was ever pushed the evaluation: who asks for the lineage of a version
  finds its verdict;
- the version that is served, the one before it, and the champion that it was compared with;
- the memory of splits, ML Metadata and the series of what is watched: they are never touched.

A folder is moved aside before it is removed, so that no half of it is ever taken for the whole;
what an interrupted `remove` leaves aside, the next one removes.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ml_metadata.metadata_store import MetadataStore

from classlift import own_folders
from classlift.errors import ConfigError, EvaluationError
from classlift.gate.verdict import read_evaluation
from classlift.locks import alone
from classlift.serving.bundle import Bundle
from classlift.serving.folder import served_versions, version_of
from classlift.settings.config import Retention
from pipelines.config import Config
from pipelines.metadata import (
    RecordedRun,
    connection_to,
    mark_deleted,
    open_existing,
    recorded_runs,
)
from pipelines.places import PIPELINE_ROOT, RUNS, serving_of
from pipelines.running import LOCK

logger = logging.getLogger(__name__)

ASIDE, WHAT = ".pruned", "pruned folders"
"""The folder into which things are moved before they are removed, and what its mark says."""

ARTIFACT, RUN, VERSION = "artifact", "run", "served version"


@dataclass(frozen=True)
class Leftover:
    """A folder that nothing needs.

    Attributes:
        kind: `ARTIFACT`, `RUN` or `VERSION`.
        root: the folder of all of its kind.
        size: bytes that its files take; what else has a link to them, keeps them.
        artifact_id: in ML Metadata.

    """

    kind: str
    path: Path
    root: Path
    size: int
    artifact_id: int | None = None


@dataclass(frozen=True)
class Plan:
    """What would go, the largest first, and what stays: ids of runs, numbers of served versions."""

    leftovers: tuple[Leftover, ...]
    kept_runs: tuple[str, ...]
    kept_versions: tuple[int, ...]

    def to_json(self) -> dict[str, object]:
        """The plan as `clean --json` prints it; sizes in bytes."""
        return {
            "leftovers": [
                {"kind": left.kind, "path": str(left.path), "bytes": left.size}
                for left in self.leftovers
            ],
            "bytes": self.size(),
            "kept_runs": self.kept_runs,
            "kept_versions": self.kept_versions,
        }

    def size(self, kind: str | None = None) -> int:
        """Bytes of all that would go, or of a kind."""
        return sum(left.size for left in self.leftovers if kind in (None, left.kind))

    def count(self, kind: str) -> int:
        """How many of a kind would go."""
        return sum(left.kind == kind for left in self.leftovers)


def plan(config: Config, retention: Retention, now: datetime | None = None) -> Plan:
    """Finds what nothing needs any more. Touches nothing.

    Args:
        config: whose runs and versions are looked at.
        retention: what is to be kept.
        now: the time by which runs are old; that of today by default.

    Returns:
        What may go and what is kept.

    Raises:
        EvaluationError: ML Metadata are not there or can't be read: then nobody knows what is
            needed.

    """
    store = open_existing(connection_to(config.work))
    runs = recorded_runs(store, config.name)
    kept = _kept_runs(runs, retention, now or datetime.now(UTC))
    needed = {artifact for run in runs if run.id in kept for artifact in run.artifacts}
    needed |= {artifact for run in runs if run.pushed for artifact in run.evaluations}
    versions = _kept_versions(config.serving, retention, [r for r in runs if r.id in kept])
    champion = _champion_of_served(store, config.serving, runs)
    if champion is not None and champion not in versions:
        versions = sorted([*versions, champion])
    found = [
        *_artifacts(store, config.work / PIPELINE_ROOT, runs, needed),
        *_run_folders(config.work / RUNS, [r for r in runs if r.id not in kept and not r.pushed]),
        *_versions(config.serving, versions),
    ]
    return Plan(
        tuple(sorted(found, key=lambda left: -left.size)),
        tuple(run.id for run in runs if run.id in kept),
        tuple(versions),
    )


@contextmanager
def alone_with(config: Config) -> Iterator[None]:
    """No run of the config goes on within the block: it might need what nothing needed before.

    Args:
        config: whose runs wait.

    Raises:
        UnavailableError: a run goes on; names who has it.

    """
    with alone(config.work / RUNS / LOCK, f"classlift clean of {config.name}"):
        yield


def remove(config: Config, found: Plan) -> None:
    """Removes what a plan names, and says so line by line.

    Args:
        config: that the plan is of.
        found: the plan.

    Raises:
        ConfigError: a folder can't be moved, or the one that it lies in does not carry our mark;
            what was removed before is gone then, and the rest is as it was.

    """
    outputs, runs = config.work / PIPELINE_ROOT, config.work / RUNS
    place = serving_of(config)
    own_folders.require_own(outputs, own_folders.OUTPUTS)
    own_folders.require_own(runs, own_folders.RUNS)
    roots = [root for root in (outputs, runs, config.serving) if root.is_dir()]
    for root in roots:
        own_folders.remove(root / ASIDE, WHAT)  # of one that was interrupted
    for left in found.leftovers:
        if left.kind == VERSION:
            place.withdraw(left.path)
        aside = own_folders.make(left.root / ASIDE, WHAT)
        try:
            left.path.rename(aside / f"{left.path.parent.name}-{left.path.name}")
        except OSError as error:
            raise ConfigError(f"{left.path}: it can't be removed ({error.strerror}).") from None
        own_folders.clear(aside, WHAT)
        logger.info(f"removed {place.shown(left.path)}, {readable(left.size)}")
    for root in roots:
        own_folders.remove(root / ASIDE, WHAT)
    gone = [left.artifact_id for left in found.leftovers if left.artifact_id is not None]
    mark_deleted(open_existing(connection_to(config.work), read_only=False), gone)


def readable(size: int) -> str:
    """A size in a unit for people.

    Args:
        size: in bytes.

    Returns:
        Megabytes or gigabytes, with a decimal.

    >>> readable(0), readable(1234), readable(5_600_000_000)
    ('0.0 MB', '0.0 MB', '5.6 GB')

    """
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _kept_runs(runs: Sequence[RecordedRun], retention: Retention, now: datetime) -> set[str]:
    """Ids of the runs to keep; `runs` has the newest first."""
    youngest = now - timedelta(days=retention.days)
    kept = {run.id for run in runs[: retention.runs]}
    kept |= {run.id for run in runs if run.began >= youngest or run.is_going_on}
    judged = [run.id for run in runs if run.reached_gate]
    return kept | set(judged[:1])  # new labels are counted from there, and a person may push it


def _kept_versions(serving: Path, retention: Retention, kept: Iterable[RecordedRun]) -> list[int]:
    """The served versions to keep: all, or the newest and those that kept runs pushed.

    Returns:
        Their numbers, never fewer than two: the one that is served, and the one that a rollback
        goes back to.

    """
    versions = served_versions(serving)
    if retention.versions is None:
        return versions
    newest = set(versions[-max(2, retention.versions) :])
    pushed = {version for run in kept for version in run.pushed}
    return [version for version in versions if version in newest | pushed]


def _champion_of_served(
    store: MetadataStore, serving: Path, runs: Iterable[RecordedRun]
) -> int | None:
    """The champion of what is served.

    Args:
        store: with the runs.
        serving: the folder of the versions.
        runs: of the config.

    Returns:
        The version that the newest one was compared with, or, where that is a copy that a rollback
        made, its original was; None where it is not there, or not known.

    """
    versions = served_versions(serving)
    if not versions:
        return None
    rollback = Bundle(serving / str(versions[-1])).provenance().rollback_of
    judged = int(rollback.version) if rollback else versions[-1]
    for run in runs:
        if judged in run.pushed:
            for artifact in store.get_artifacts_by_id(sorted(run.evaluations)):
                with suppress(EvaluationError):  # one that is lost says nothing any more
                    champion = version_of(read_evaluation(Path(artifact.uri)).champion)
                    return champion if champion in versions else None
    return None


def _artifacts(
    store: MetadataStore, root: Path, runs: Sequence[RecordedRun], needed: set[int]
) -> Iterator[Leftover]:
    """Artifacts that no kept run read or put out, where TFX puts them: NODE/OUTPUT/EXECUTION."""
    ids = {artifact for run in runs for artifact in run.artifacts} - needed
    needed_paths = {artifact.uri for artifact in store.get_artifacts_by_id(sorted(needed))}
    for artifact in store.get_artifacts_by_id(sorted(ids)):
        path = Path(artifact.uri)
        inside = path.is_relative_to(root) and len(path.relative_to(root).parts) == 3
        if (
            inside
            and path.name.isdecimal()
            and artifact.uri not in needed_paths
            and _is_plain(path, root)
        ):
            yield Leftover(ARTIFACT, path, root, _size(path), artifact.id)


def _run_folders(root: Path, runs: Iterable[RecordedRun]) -> Iterator[Leftover]:
    for run in runs:
        path = root / run.id
        if path.parent == root and path != root / ASIDE and _is_plain(path, root):
            yield Leftover(RUN, path, root, _size(path))


def _versions(serving: Path, kept: Sequence[int]) -> Iterator[Leftover]:
    """Versions that are not kept, of those that say that ClassLift made them."""
    for version in served_versions(serving):
        path = serving / str(version)
        if version not in kept and _is_plain(path, serving) and Bundle(path).provenance().is_known:
            yield Leftover(VERSION, path, serving, _size(path))


def _is_plain(path: Path, root: Path) -> bool:
    """Whether there is a folder, and no link between the root and it that leads elsewhere."""
    return path.is_dir() and path.resolve() == root.resolve() / path.relative_to(root)


def _size(folder: Path) -> int:
    """Bytes of the files in a folder; of a file with several links here, once."""
    seen: dict[tuple[int, int], int] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            facts = Path(parent, name).lstat()
            seen[facts.st_dev, facts.st_ino] = facts.st_size
    return sum(seen.values())
