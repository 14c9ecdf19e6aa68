"""What became of a run's challenger: the one reader of `verdict.json` and run records in here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

PUSH, REFUSE = "push", "refuse"
"""Verdicts that leave nothing open."""

UNCHANGED = "unchanged"
"""The status of a class that training did not change."""


@dataclass(frozen=True)
class ClassRow:
    """One class on the test set; recalls are None where they are not known.

    lower_bound: of the change in recall; None where no bound is shown.
    """

    label: str
    objects: int
    champion_recall: float | None
    challenger_recall: float | None
    lower_bound: float | None
    status: str


@dataclass(frozen=True)
class Verdict:
    """What the gate said of a run: `verdict` is push, refuse or inconclusive."""

    verdict: str
    target: str
    reasons: tuple[str, ...]
    classes: tuple[ClassRow, ...]


def read_verdict(work: str, run_id: str) -> Verdict:
    """The verdict of a run that reached its gate.

    work: folder of the config.
    """
    path = Path(work, "runs", run_id, "evaluation", "verdict.json")
    record = json.loads(path.read_text())
    rows = tuple(
        ClassRow(
            label,
            found["objects"],
            found["champion_recall"],
            found["challenger_recall"],
            None if found["status"] == UNCHANGED else found["lower_bound"],
            found["status"],
        )
        for label, found in record["classes"].items()
    )
    return Verdict(record["verdict"], record["target"], tuple(record["reasons"]), rows)


def has_pushed(work: str, run_id: str, node: str) -> bool:
    """Whether this run pushed; one from the cache pushes nothing twice.

    node: id of the node that pushes, which leaves no record where a person pushed in its place.
    """
    path = Path(work, "runs", run_id, f"{node}.json")
    return not path.exists() or json.loads(path.read_text())["outcome"] == "done"
