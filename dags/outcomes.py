"""What became of a run, in a line for Airflow's list of runs, from what Airflow knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

GATE, PUSHER = "GateOperator", "PushOperator"
APPROVAL, NEW_LABELS = "VerdictApproval", "NewLabelsOperator"
"""Operators of the tasks whose answers and states say it: Airflow knows the operator of each task,
and which node is which says the table of nodes alone.
"""

REJECTED = "rejected"
"""The key of the XCom that says who rejected."""

LONGEST = 1000
"""Characters of a note."""

_RULE = "\n\n---\n"


def outcome(answers: Mapping[str, Any], states: Mapping[str, str | None]) -> str | None:
    """What became of a run.

    Args:
        answers: what the tasks returned, by their operators.
        states: of the tasks, by their operators.

    Returns:
        A sentence or two; None where there is no more to say than that it failed.

    """
    verdict = answers.get(PUSHER) or answers.get(GATE)
    if not isinstance(verdict, dict):
        if states.get(NEW_LABELS) == "skipped":
            return "Nothing done: too few labels of the class are new."
        return None
    sentence = verdict["sentence"]
    asked = answers.get(APPROVAL)
    by = f" by {asked['responded_by_user']['name']}" if _was_answered(asked) else ""
    if verdict["version"] is not None:
        return f"Pushed as version {verdict['version']}{by}. {sentence}"
    if verdict["verdict"] == "refuse":
        return sentence
    if states.get(PUSHER) == "skipped":
        if asked and "Approve" not in asked["chosen_options"]:
            return f"Not pushed: rejected{by or ', for nobody answered'}. {sentence}"
        if verdict["verdict"] == "push":
            return f"Not pushed: this model was pushed before. {sentence}"
    return f"Not pushed. {sentence}"


def _was_answered(asked: Any) -> bool:
    return bool(asked and asked.get("responded_by_user"))


def with_own_words(line: str, note: str | None, of_a_user: bool) -> str:
    """The note of a run: the line, above what a user wrote there, which is never cut."""
    words = note.rpartition(_RULE)[2] if note and of_a_user else ""
    if not words:
        return line[:LONGEST]
    room = LONGEST - len(words) - len(_RULE)
    return f"{line[:room]}{_RULE}{words}" if room > 0 else words
