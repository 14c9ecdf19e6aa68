"""The push of what the gate blessed."""

import json
from dataclasses import replace
from pathlib import Path

from classlift.environment import APPROVAL_VARIABLE
from classlift.errors import ConfigError, EvaluationError
from classlift.gate.verdict import PUSH, read_evaluation
from classlift.serving.provenance import Provenance, Signature
from classlift.serving.publish import publish, require_champion, signed


def push(
    model: Path,
    evaluation: Path,
    serving_dir: Path,
    pretrained: Path,
    run_id: str,
    approval: Signature | None,
    checked: str | None,
) -> Path:
    """Serves a challenger that the gate blessed; returns the folder of its version.

    Args:
        model: the challenger's SavedModel.
        evaluation: the folder of its verdict.
        serving_dir: the serving folder.
        pretrained: folder of the model that is the champion before the first push.
        run_id: the run that it comes from.
        approval: who approved; None if nobody was asked.
        checked: the `digest` of the export that passed the serving check; None if not known.

    Returns:
        The folder of the version.

    Raises:
        EvaluationError: the verdict is not to push, another version is served than the challenger
            was compared with, or it has other bytes than when it was checked.
        ModelError: it is gone, or does not answer.
        UnavailableError: its files can't be written.

    """
    verdict = read_evaluation(evaluation)
    if verdict.verdict != PUSH:
        raise EvaluationError(
            f"The gate's blessing and its verdict, {verdict.verdict}, contradict each other; run "
            "the gate again."
        )

    def note(provenance: Provenance) -> Provenance:
        return replace(provenance, approval=approval)

    return publish(
        serving_dir,
        model,
        f"the model of run {run_id}",
        note=None if approval is None else note,
        require=lambda: require_champion(serving_dir, verdict.champion, pretrained, run_id),
        record=lambda _: None,  # who pushes records it when this returns
        blessed=checked,
    )


def read_approval(text: str | None) -> Signature | None:
    """Who approved of the push and why.

    Args:
        text: the value of `APPROVAL_VARIABLE`.

    Returns:
        The name and the reason; None if nobody was asked.

    Raises:
        ConfigError: it says no name and reason.

    """
    if not text:
        return None
    what = ("The name of who approved", "The reason of who approved")
    try:
        answer = json.loads(text)
        return signed(answer["by"], answer["reason"], what)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{APPROVAL_VARIABLE} must be JSON with `by` and `reason` ({error!r})."
        ) from None
