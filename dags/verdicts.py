"""What became of a run's challenger: the one reader of `verdict.json` and run records in here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PUSH, REFUSE = "push", "refuse"
"""Verdicts that leave nothing open."""

UNCHANGED = "unchanged"
"""The status of a class that training did not change."""


@dataclass(frozen=True)
class ClassRow:
    """One class on the test set; recalls are None where they are not known.

    Attributes:
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
    """What the gate said of a run, and what became of it.

    Attributes:
        verdict: push, refuse or inconclusive.
        target: the class that was to be raised; of several those that a push serves, with a comma.
        sentence: the verdict and what decided it.
        lift: the change of the target's recall; None where the champion does not know the class, or
            of several, which the sentence tells of one by one.
        lower_bound: that the lift is above; None where it is.
        champion: the version or model that it was compared to.
        pushed: the version that this very run pushed; None when it pushed none.

    """

    verdict: str
    target: str
    sentence: str
    lift: float | None
    lower_bound: float | None
    champion: str
    pushed: str | None
    reasons: tuple[str, ...]
    classes: tuple[ClassRow, ...]

    def as_dict(self) -> dict[str, Any]:
        """What other tasks and DAGs are told, as XCom and with the asset of a pushed model."""
        return {
            "verdict": self.verdict,
            "target": self.target,
            "sentence": self.sentence,
            "lift": self.lift,
            "lower_bound": self.lower_bound,
            "champion": self.champion,
            "version": self.pushed,
        }


def read_verdict(work: str, run_id: str) -> Verdict:
    """Reads the verdict of a run that reached its gate.

    Args:
        work: folder of the config.
        run_id: of the run.

    Returns:
        What people are told of it.

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
    targets = [record["target"], *(other["target"] for other in record.get("beside", ()))]
    served = [target for target in targets if target not in record.get("left_out", ())]
    target = record["classes"].get(record["target"], {}) if len(targets) == 1 else {}
    own = record["pushed"] and record.get("pushed_by_run") == run_id
    return Verdict(
        record["verdict"],
        ", ".join(served),
        record["sentence"],
        target.get("lift"),
        target.get("lower_bound"),
        record["champion"],
        Path(record["pushed"]).name if own else None,
        tuple(record["reasons"]),
        rows,
    )
