"""`verdict.json` as the runners read it back, without the imports of what writes it."""

import json
from pathlib import Path
from typing import Any

from classlift.errors import EvaluationError

VERDICT, REPORT = "verdict.json", "report.html"
"""The files of an evaluation."""

VERSION = 2
PUSH, REFUSE, INCONCLUSIVE = "push", "refuse", "inconclusive"
_FIELDS = {"target": str, "champion": str, "reasons": list, "classes": dict, "recall": dict}


def read_verdict(folder: Path) -> dict[str, Any]:
    """The verdict in the folder of an evaluation.

    Raises EvaluationError when verdict or report is missing, or the verdict damaged or of another
    version than this code reads.
    """
    path = folder / VERDICT
    advice = "put the whole evaluation back, or change data or recipe and run again."
    try:
        verdict = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise EvaluationError(f"{path}: it can't be read ({error.strerror}); {advice}") from None
    except ValueError as error:
        raise EvaluationError(f"{path}: it is damaged ({error}); {advice}") from None
    if not isinstance(verdict, dict) or verdict.get("version") != VERSION:
        raise EvaluationError(f"{path}: it is no verdict of version {VERSION}; {advice}")
    if verdict.get("verdict") not in (PUSH, REFUSE, INCONCLUSIVE):
        raise EvaluationError(f"{path}: `verdict` is {verdict.get('verdict')!r:.80}; {advice}")
    for name, kind in _FIELDS.items():
        if not isinstance(verdict.get(name), kind):
            raise EvaluationError(f"{path}: `{name}` is missing or of the wrong type; {advice}")
    if not (folder / REPORT).exists():
        raise EvaluationError(f"{folder / REPORT}: it is missing; {advice}")
    return verdict
