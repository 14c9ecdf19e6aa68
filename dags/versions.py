"""The versions of a config that are served, or can be again: what the page *Models* shows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PARTS = ("saved_model.pb", "assets.extra")
"""What a folder of a version holds, one of them at least."""

A_TIME = 1_000_000_000
"""Numbers of versions from here on are seconds since 1970: when they were made."""


@dataclass(frozen=True)
class Version:
    """One version. What is not known is empty.

    Attributes:
        number: its number.
        date: when it was pushed, UTC.
        target: the class that was to be raised, or several.
        verdict: of the gate.
        recall: of the target on test.
        who: who decided, and why.

    """

    number: int
    date: str
    target: str
    verdict: str
    recall: str
    who: str


def read_versions(serving: Path, work: Path) -> list[Version]:
    """The versions in a folder of TF Serving, newest first; that is the one it serves.

    Args:
        serving: the folder.
        work: of the config, where its runs left their verdicts.

    Returns:
        The versions; none before the first push.

    """
    if not serving.is_dir():
        return []
    numbers = [
        int(path.name)
        for path in serving.iterdir()
        if path.name.isascii()
        and path.name.isdecimal()
        and path.name == str(int(path.name))
        and any((path / part).exists() for part in PARTS)
    ]
    verdicts = _verdicts(work)
    return [_version(serving / str(n), verdicts) for n in sorted(numbers, reverse=True)]


def _verdicts(work: Path) -> dict[str, dict[str, Any]]:
    """The verdict of the run that pushed a version, by its number."""
    found = {}
    for path in work.glob("runs/*/evaluation/verdict.json"):
        record = _read(path)
        if record.get("pushed") and record.get("pushed_by_run") == path.parents[1].name:
            found[Path(record["pushed"]).name] = record
    return found


def _version(folder: Path, verdicts: dict[str, dict[str, Any]]) -> Version:
    said = _read(folder / "assets.extra" / "provenance.json")
    again = said.get("rollback_of")
    verdict = verdicts.get(again["version"] if again else folder.name, {})
    recall = verdict.get("recall", {}).get("trained")
    if verdict.get("recalibrated"):
        recall = verdict["recall"].get("recalibrated")
    target = said.get("target") or ""
    number = int(folder.name)
    seconds = number if number >= A_TIME else folder.stat().st_mtime
    return Version(
        number=number,
        date=datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M"),
        target=", ".join([target] if isinstance(target, str) else target),
        verdict=verdict.get("verdict", ""),
        recall="" if recall is None else f"{recall:.3f}",
        who=_who(said, bool(verdict)),
    )


def _who(said: dict[str, Any], is_judged: bool) -> str:
    """Who had it served, and why."""
    if again := said.get("rollback_of"):
        return f"{again['by']}, version {again['version']} again: {again['reason']}"
    if by := said.get("override"):
        return f"{by['by']}, the verdict being {by['verdict']}: {by['reason']}"
    if by := said.get("approval"):
        return f"the gate, approved by {by['by']}: {by['reason']}"
    return "the gate" if is_judged else ""


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; an empty one where the file is gone or damaged, for the rest is shown."""
    try:
        record = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
