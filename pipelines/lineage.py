"""From a served version back to the pre-trained model: data, recipe, verdict, and who pushed it."""

import datetime
import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ml_metadata.metadata_store import MetadataStore

from classlift.errors import ConfigError, EvaluationError, ModelError
from classlift.gate.verdict import read_evaluation
from classlift.records import JsonObject
from classlift.serving.bundle import Bundle
from classlift.serving.folder import damage, served_versions, version_folder, version_of
from classlift.serving.provenance import Override, Provenance, Rollback, Signature
from classlift.settings.targets import as_value
from classlift.text import shown
from pipelines.config import Config
from pipelines.metadata import (
    OVERRIDE,
    ROLLBACK,
    approval_of,
    connection_to,
    maker_of,
    open_existing,
    output_artifact,
    parameter_of,
    properties_of,
    pushed_model,
    run_of,
)
from pipelines.nodes import GATE, SNAPSHOT
from pipelines.places import serving_of

PRETRAINED = "pre-trained "


@dataclass(frozen=True)
class Ancestor:
    """One version of a lineage; what is not known is None.

    Attributes:
        version: its number.
        pushed: when, UTC in ISO 8601; as all up to `test_uses` from ML Metadata.
        run: id of the run that trained it.
        sources: of the run's snapshot, as the config names them.
        verdict: of the gate, in a word.
        reasons: of the verdict, in sentences.
        champion: name of the champion that it was compared with.
        test_uses: how often the test set had been used.
        targets: the classes that were to be raised; as all up to `code_version` from the version.
        recipe: it was trained by.
        rebalancing: of its training data.
        snapshot: `content_hash`, number of `images` and `boxes`.
        code_version: of the ClassLift that trained it.
        override: who pushed it against the verdict.
        approval: who was asked before the gate's push.
        rollback: who had another version served again as this one; that one has the rest.
        lost: why something is not known, in words.

    """

    version: int | None
    pushed: str | None = None
    run: str | None = None
    sources: Sequence[JsonObject] | None = None
    verdict: str | None = None
    reasons: tuple[str, ...] | None = None
    champion: str | None = None
    test_uses: int | None = None
    targets: tuple[str, ...] = ()
    recipe: JsonObject | None = None
    rebalancing: JsonObject | None = None
    snapshot: JsonObject | None = None
    code_version: str | None = None
    override: Override | None = None
    approval: Signature | None = None
    rollback: Rollback | None = None
    lost: str | None = None

    def to_json(self) -> dict[str, object]:
        """The version as `lineage --json` prints it."""
        signed = {
            name: person and person.record()
            for name, person in (
                ("override", self.override),
                ("approval", self.approval),
                ("rollback", self.rollback),
            )
        }
        reasons = self.reasons and list(self.reasons)
        record = {**vars(self), **signed, "reasons": reasons}
        targets = record.pop("targets")
        return {**record, "target": as_value(targets) if targets else None}


@dataclass(frozen=True)
class Lineage:
    """What a version is made of, and each version that it goes back to.

    Attributes:
        versions: the version first, and then each time the one that it was compared with, or that a
            rollback served again.
        pretrained: name of the model at the end; None where it is lost.

    """

    versions: tuple[Ancestor, ...]
    pretrained: str | None

    def to_json(self) -> dict[str, object]:
        """The lineage as `lineage --json` prints it."""
        versions = [ancestor.to_json() for ancestor in self.versions]
        return {"versions": versions, "pretrained": self.pretrained}


def trace(config: Config, version: int | None = None) -> Lineage:
    """The lineage of a served version.

    Args:
        config: that it is served by.
        version: its number; the newest by default.

    Returns:
        The version, and those that it comes from.

    Raises:
        ConfigError: there is no such version.
        ModelError: one of them is damaged.

    """
    served = served_versions(config.serving)
    if not served:
        raise ConfigError(f"{serving_of(config)}: nothing is served yet; run the pipeline first.")
    newest = served[-1] if version is None else version
    provenance = Bundle(version_folder(config.serving, newest)).provenance()
    number: int | None = newest
    versions: list[Ancestor] = []
    while number is not None or provenance.is_known:
        if number is not None and number in [known.version for known in versions]:
            raise ModelError(
                f"{config.serving / str(number)}: this version claims to come from itself; it was "
                "copied or edited by hand."
            )
        versions.append(_describe(config, number, provenance))
        number, provenance = _previous(config, versions[-1], provenance)
    champion = versions[-1].champion or ""
    return Lineage(tuple(versions), champion.removeprefix(PRETRAINED) or None)


def _describe(config: Config, number: int | None, provenance: Provenance) -> Ancestor:
    known = Ancestor(
        number,
        targets=provenance.targets,
        recipe=provenance.recipe,
        rebalancing=provenance.rebalancing,
        snapshot=provenance.snapshot,
        code_version=provenance.code_version,
        override=provenance.override,
        approval=provenance.approval,
        rollback=provenance.rollback_of,
    )
    lost = []
    try:
        store = open_existing(connection_to(config.work))
        known = _with_push(known, store)
        if known.rollback is None:
            known = _with_sources(known, store, config.name)
            known = _with_verdict(known, store, config.name)
    except EvaluationError as error:
        lost.append(f"{error} This is what is known without it.")
    if number in served_versions(config.serving):
        fault = damage(config.serving / str(number))
        if fault:
            lost.append(f"It is damaged: {fault}.")
    if known.rollback:  # the copy carries the rest too, but that tells of what it is a copy of
        known = Ancestor(number, pushed=known.pushed, rollback=known.rollback)
    return replace(known, lost=" ".join(lost) or None)


def _with_push(known: Ancestor, store: MetadataStore) -> Ancestor:
    """Adds when, by which run and by whom a version was pushed.

    Returns:
        The version with that.

    Raises:
        EvaluationError: ML Metadata knows nothing of it.

    """
    pushed = pushed_model(store, known.version) if known.version is not None else None
    if pushed is None:
        raise EvaluationError(
            "ML Metadata knows nothing of "
            f"{f'version {known.version}' if known.version else 'this version'}."
        )
    maker = maker_of(store, pushed)
    seconds = maker.last_update_time_since_epoch / 1000
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    is_rollback = maker.type == ROLLBACK
    return replace(
        known,
        pushed=moment.isoformat(timespec="seconds"),
        override=Override(**properties_of(maker)) if maker.type == OVERRIDE else None,
        approval=approval_of(pushed),
        rollback=Rollback(**properties_of(maker)) if is_rollback else None,
        run=None if is_rollback else run_of(store, maker),
    )


def _with_sources(known: Ancestor, store: MetadataStore, pipeline: str) -> Ancestor:
    """Adds the sources of the snapshot. Raises EvaluationError where they are not recorded."""
    sources = parameter_of(store, pipeline, known.run or "", SNAPSHOT.id, "sources")
    return replace(known, sources=json.loads(sources))


def _with_verdict(known: Ancestor, store: MetadataStore, pipeline: str) -> Ancestor:
    """Adds what the gate said. Raises EvaluationError where its evaluation is lost or damaged."""
    evaluation = output_artifact(store, pipeline, known.run or "", GATE.id, "ModelEvaluation")
    verdict = read_evaluation(Path(evaluation.uri))
    return replace(
        known,
        verdict=verdict.verdict,
        reasons=verdict.reasons,
        champion=verdict.champion,
        test_uses=verdict.test_uses,
    )


def _previous(
    config: Config, known: Ancestor, provenance: Provenance
) -> tuple[int | None, Provenance]:
    """The version before a version, and its provenance: its own, else the one handed down."""
    number: int | None
    if known.rollback:
        number = int(known.rollback.version)
        inherited = provenance.without_rollback()
    else:
        inherited = provenance.champion or Provenance()
        number = version_of(known.champion) if known.champion else _carrying(config, inherited)
    own = _own(config, number)
    return number, own if own.is_known else inherited


def _own(config: Config, number: int | None) -> Provenance:
    """The provenance in a version; of nothing where it is gone or can't be read."""
    try:
        return Bundle(config.serving / str(number)).provenance()
    except ModelError:
        return Provenance()


def _carrying(config: Config, provenance: Provenance) -> int | None:
    """The served version that carries a provenance."""
    for number in served_versions(config.serving) if provenance.is_known else []:
        if _own(config, number) == provenance:
            return number
    return None


def render(lineage: Lineage) -> str:
    """A lineage as text for a terminal: a block a version, and at the end the pre-trained model."""
    blocks = []
    for known in lineage.versions:
        title = f"version {known.version or 'of unknown number'}"
        rows = _rows(known)
        if known.rollback:
            rows = _rollback_rows(known.rollback, known.pushed)
        rows.append(("note", known.lost))
        blocks.append("\n".join([title, *(_row(name, text) for name, text in rows if text)]))
    blocks.append(f"pre-trained model {lineage.pretrained or 'whose name is lost'}")
    return "\n\n".join(blocks)


def _rollback_rows(rollback: Rollback, pushed: str | None) -> list[tuple[str, str | None]]:
    return [
        ("serves", f"version {rollback.version} again, in place of {rollback.replaced}"),
        ("pushed", pushed),
        ("by", f"{rollback.by}: {rollback.reason}"),
    ]


def _rows(known: Ancestor) -> list[tuple[str, str | None]]:
    override, approval, snapshot = known.override, known.approval, known.snapshot
    return [
        ("pushed", known.pushed),
        ("by", f"{override.by} against the verdict: {override.reason}" if override else None),
        ("approved", f"{approval.by}: {approval.reason}" if approval else None),
        ("run", known.run),
        ("verdict", known.verdict),
        *(("", reason) for reason in known.reasons or ()),
        ("against", known.champion),
        ("test set", f"use number {known.test_uses}" if known.test_uses else None),
        ("target", ", ".join(map(shown, known.targets))),
        ("recipe", _settings(known.recipe)),
        ("rebalance", _settings(known.rebalancing)),
        ("snapshot", str(snapshot["content_hash"]) if snapshot else None),
        ("", f"{snapshot['images']} images, {snapshot['boxes']} boxes" if snapshot else None),
        ("sources", "; ".join(_settings(source) for source in known.sources or ())),
        ("code", known.code_version),
    ]


def _settings(values: JsonObject | None) -> str:
    """What is set, in a line."""
    given = {name: value for name, value in (values or {}).items() if value not in (None, {})}
    return ", ".join(
        f"{name} {value if isinstance(value, str) else json.dumps(value)}"
        for name, value in given.items()
    )


def _row(name: str, text: str) -> str:
    indent = f"  {name:10}"
    return textwrap.fill(
        text, 100, initial_indent=indent, subsequent_indent=" " * 12, break_on_hyphens=False
    )
