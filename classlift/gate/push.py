"""The push of what the gate blessed."""

import hashlib
import json
import logging
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from classlift.data.snapshot import Snapshot
from classlift.environment import APPROVAL_VARIABLE
from classlift.errors import ConfigError, EvaluationError
from classlift.gate.verdict import PUSH, Verdict, read_evaluation
from classlift.serving import check
from classlift.serving.manifest import Manifest
from classlift.serving.places import ServingFolder
from classlift.serving.provenance import Provenance, Signature
from classlift.serving.publish import publish, require_blessed, require_champion, signed
from classlift.serving.shipment import leave_out
from classlift.settings.targets import classes_in_words

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Origin:
    """What a challenger was made from.

    Attributes:
        champion: the SavedModel that it was trained from.
        backend: of both.
        snapshot: the folder of the labelled data.

    """

    champion: Path
    backend: str
    snapshot: Path


def push(
    model: Path,
    evaluation: Path,
    place: ServingFolder,
    pretrained: Path,
    run_id: str,
    approval: Signature | None,
    checked: str | None,
    origin: Origin,
) -> Path:
    """Serves a challenger that the gate blessed; returns the folder of its version.

    Where the verdict leaves targets out, a model without what was learned of them is made, compared
    with the two that were judged, checked as the challenger was, and served.

    Args:
        model: the challenger's SavedModel.
        evaluation: the folder of its verdict.
        place: of the versions.
        pretrained: folder of the model that is the champion before the first push.
        run_id: the run that it comes from.
        approval: who approved; None if nobody was asked.
        checked: the `digest` of the export that passed the serving check; None if not known.
        origin: what the challenger was made from.

    Returns:
        The folder of the version.

    Raises:
        EvaluationError: the verdict is not to push, another version is served than the challenger
            was compared with, or it has other bytes than when it was checked.
        ModelError: it is gone, or does not answer; what is left out changes more than that.
        DataError: an image of the snapshot can't be read.
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

    serve = partial(
        publish,
        place,
        name=f"the model of run {run_id}",
        note=None if approval is None else note,
        require=lambda: require_champion(place.folder, verdict.champion, pretrained, run_id),
        record=lambda _: None,  # who pushes records it when this returns
    )
    if not verdict.left_out:
        return serve(model, blessed=checked)
    whole = Manifest.of(model).digest()
    require_blessed(model, whole, checked, f"the model of run {run_id}")
    images = Snapshot.read(origin.snapshot).images
    with TemporaryDirectory(prefix="classlift-") as folder:
        shipped = Path(folder, "model")
        _leave_out(verdict, model, origin, images, shipped)
        # Made again, it has other bytes: by the challenger it is known that it was pushed.
        known = hashlib.sha256(json.dumps([whole, verdict.left_out]).encode()).hexdigest()
        return serve(shipped, blessed=check.run(shipped, images), known_by=known)


def _leave_out(
    verdict: Verdict, model: Path, origin: Origin, images: pa.Table, folder: Path
) -> None:
    """Writes the challenger without what it learned of the targets that the verdict leaves out."""
    logger.info(f"not lifted, and so left out: {classes_in_words(verdict.left_out)}")
    leave_out(
        origin.champion,
        model,
        origin.backend,
        [target for target in verdict.targets if target not in verdict.left_out],
        {label: found.served.threshold.after for label, found in verdict.classes.items()},
        check.requests(images),
        folder,
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
