"""From a served version back to the pre-trained model: data, recipe, verdict, and who pushed it."""

import datetime
import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_metadata.metadata_store import MetadataStore

from classlift.errors import ConfigError, EvaluationError, ModelError
from classlift.gate.verdict import read_verdict
from classlift.serving.bundle import Bundle
from classlift.serving.folder import damage, served_versions, version_folder, version_of
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

PRETRAINED = "pre-trained "
JUDGED = ("verdict", "reasons", "champion", "test_uses")
RECORDED = ("pushed", "run", "sources", *JUDGED)
CARRIED = ("target", "recipe", "rebalancing", "snapshot", "code_version")


def trace(config: Config, version: int | None = None) -> dict[str, Any]:
    """What a version is made of, and each version that it goes back to.

    version: the newest by default.

    Returns `versions`, that version first and then each time the one that it was compared with, or
    that a rollback served again; and `pretrained`, the name of the model at the end. What is not
    known is None, and `lost` says why. Of a version:

    - in ML Metadata: when it was `pushed` (UTC), in which `run`, with which `verdict` and
      `reasons`, against which `champion`; how often the test set had been used (`test_uses`), and
      the `sources` of the snapshot;
    - in the version itself: `target`, `recipe`, `rebalancing`, `snapshot` (`content_hash`, number
      of `images` and `boxes`), `code_version`;
    - in both: `override`, when a person pushed it against the verdict; `approval`, when one was
      asked before the gate's push; `rollback`, when it serves another `version` again, which then
      has the rest.

    Raises ConfigError when there is no such version, ModelError when one is damaged.
    """
    served = served_versions(config.serving)
    if not served:
        raise ConfigError(f"{config.serving}: nothing is served yet; run the pipeline first.")
    number: int | None = served[-1] if version is None else version
    provenance = Bundle(version_folder(config.serving, number)).provenance()
    versions: list[dict[str, Any]] = []
    while number is not None or provenance:
        if number is not None and number in [known["version"] for known in versions]:
            raise ModelError(
                f"{config.serving / str(number)}: this version claims to come from itself; it was "
                "copied or edited by hand."
            )
        versions.append(_describe(config, number, provenance))
        number, provenance = _previous(config, versions[-1], provenance)
    champion = versions[-1]["champion"] or ""
    return {"versions": versions, "pretrained": champion.removeprefix(PRETRAINED) or None}


def _describe(config: Config, number: int | None, provenance: Mapping[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {
        "version": number,
        **dict.fromkeys(RECORDED),
        **{name: provenance.get(name) for name in CARRIED},
        "override": provenance.get("override"),
        "approval": provenance.get("approval"),
        "rollback": provenance.get("rollback_of"),
        "lost": None,
    }
    try:
        store = open_existing(connection_to(config.work))
        _add_records(known, store, config.name)
    except EvaluationError as error:
        known["lost"] = f"{error} This is what is known without it."
    if number in served_versions(config.serving):
        found = damage(config.serving / str(number))
        if found:
            known["lost"] = f"{known['lost'] or ''} It is damaged: {found}.".strip()
    if known["rollback"]:  # the copy carries them too, but they tell of what it is a copy of
        known |= dict.fromkeys((*CARRIED, "override", "approval"))
    return known


def _add_records(known: dict[str, Any], store: MetadataStore, pipeline: str) -> None:
    """Adds what ML Metadata knows of a version. Raises EvaluationError where that ends."""
    number = known["version"]
    pushed = pushed_model(store, number) if number is not None else None
    if pushed is None:
        raise EvaluationError(
            f"ML Metadata knows nothing of {f'version {number}' if number else 'this version'}."
        )
    maker = maker_of(store, pushed)
    seconds = maker.last_update_time_since_epoch / 1000
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    known["pushed"] = moment.isoformat(timespec="seconds")
    known["override"] = properties_of(maker) if maker.type == OVERRIDE else None
    known["approval"] = approval_of(pushed)
    known["rollback"] = properties_of(maker) if maker.type == ROLLBACK else None
    if known["rollback"]:
        return
    known["run"] = run = run_of(store, maker)
    known["sources"] = json.loads(parameter_of(store, pipeline, run, SNAPSHOT.id, "sources"))
    evaluation = output_artifact(store, pipeline, run, GATE.id, "ModelEvaluation")
    verdict = read_verdict(Path(evaluation.uri))
    known |= {name: verdict.get(name) for name in JUDGED}


def _previous(
    config: Config, known: Mapping[str, Any], provenance: Mapping[str, Any]
) -> tuple[int | None, dict[str, Any]]:
    """The version before a version, and its provenance: its own, else the one handed down."""
    number: int | None
    if known["rollback"]:
        number = int(known["rollback"]["version"])
        inherited = {name: fact for name, fact in provenance.items() if name != "rollback_of"}
    else:
        inherited = provenance.get("champion", {})
        number = (
            version_of(known["champion"]) if known["champion"] else _carrying(config, inherited)
        )
    return number, _own(config, number) or inherited


def _own(config: Config, number: int | None) -> dict[str, Any]:
    """The provenance in a version; empty where it is gone or can't be read."""
    try:
        return Bundle(config.serving / str(number)).provenance()
    except ModelError:
        return {}


def _carrying(config: Config, provenance: Mapping[str, Any]) -> int | None:
    """The served version that carries a provenance."""
    for number in served_versions(config.serving) if provenance else []:
        if _own(config, number) == provenance:
            return number
    return None


def render(found: Mapping[str, Any]) -> str:
    """A lineage as text for a terminal: a block a version, and at the end the pre-trained model."""
    blocks = []
    for known in found["versions"]:
        title = f"version {known['version'] or 'of unknown number'}"
        rows = _rollback_rows(known) if known["rollback"] else _rows(known)
        rows.append(("note", known["lost"]))
        blocks.append("\n".join([title, *(_row(name, text) for name, text in rows if text)]))
    blocks.append(f"pre-trained model {found['pretrained'] or 'whose name is lost'}")
    return "\n\n".join(blocks)


def _rollback_rows(known: Mapping[str, Any]) -> list[tuple[str, Any]]:
    rollback = known["rollback"]
    return [
        ("serves", f"version {rollback['version']} again, in place of {rollback['replaced']}"),
        ("pushed", known["pushed"]),
        ("by", f"{rollback['by']}: {rollback['reason']}"),
    ]


def _rows(known: Mapping[str, Any]) -> list[tuple[str, Any]]:
    override, approval = known["override"], known["approval"]
    snapshot = known["snapshot"] or {}
    return [
        ("pushed", known["pushed"]),
        ("by", override and f"{override['by']} against the verdict: {override['reason']}"),
        ("approved", approval and f"{approval['by']}: {approval['reason']}"),
        ("run", known["run"]),
        ("verdict", known["verdict"]),
        *(("", reason) for reason in known["reasons"] or []),
        ("against", known["champion"]),
        ("test set", known["test_uses"] and f"use number {known['test_uses']}"),
        ("target", known["target"]),
        ("recipe", _settings(known["recipe"])),
        ("rebalance", _settings(known["rebalancing"])),
        ("snapshot", snapshot.get("content_hash")),
        ("", snapshot and f"{snapshot['images']} images, {snapshot['boxes']} boxes"),
        ("sources", "; ".join(_settings(source) for source in known["sources"] or [])),
        ("code", known["code_version"]),
    ]


def _settings(values: Mapping[str, Any] | None) -> str:
    """What is set, in a line."""
    shown = {name: value for name, value in (values or {}).items() if value not in (None, {})}
    return ", ".join(
        f"{name} {value if isinstance(value, str) else json.dumps(value)}"
        for name, value in shown.items()
    )


def _row(name: str, text: str) -> str:
    indent = f"  {name:10}"
    return textwrap.fill(
        text, 100, initial_indent=indent, subsequent_indent=" " * 12, break_on_hyphens=False
    )
