"""An older version is served again, by a named person with a reason; recorded for good."""

import logging
from dataclasses import replace
from pathlib import Path

from classlift.errors import ConfigError
from classlift.serving.folder import last_whole, newest_version, served_versions, whole_folder
from classlift.serving.provenance import Rollback
from classlift.serving.publish import publish, signed
from pipelines.config import Config
from pipelines.metadata import (
    ROLLBACK,
    connection_to,
    initialise,
    open_existing,
    pushed_model,
    record_push,
)
from pipelines.places import serving_of

logger = logging.getLogger(__name__)


def roll_back(
    config: Config,
    by: str,
    reason: str,
    to: int | None = None,
) -> Path:
    """Serves an older version again, as a copy with a higher number.

    Who, why, and from what to what stand in the metadata and in the provenance that the copy
    carries. The champion of the next run is the copy. Where an error is raised, what is served
    stays.

    Args:
        config: that the versions are served by.
        by: who does it.
        reason: why.
        to: number of the version; the last whole one before the newest by default, so that a second
            rollback undoes the first.

    Returns:
        The folder of the copy.

    Raises:
        ConfigError: name or reason say nothing, there is nothing to go back to, or the version is
            unknown or is the newest.
        ModelError: it is damaged.
        EvaluationError: it can't be recorded.
        UnavailableError: it can't be copied.

    """
    signature = signed(by, reason)
    place = serving_of(config)
    versions = served_versions(config.serving)
    if not versions:
        raise ConfigError(f"{place}: nothing is served yet; run the pipeline first.")
    if to is None:
        if len(versions) == 1:
            raise ConfigError(
                f"{place}: version {versions[0]} is the only one; there is none to go back to."
            )
        whole = last_whole(config.serving, before=versions[-1])
        to = versions[-2] if whole is None else whole
        if to != versions[-2]:
            logger.warning(f"version {versions[-2]} is damaged, so version {to} is served again")
    if to == versions[-1]:
        raise ConfigError(f"{place}: version {to} is the one that is served now.")
    folder = whole_folder(config.serving, to)

    connection = connection_to(config.work)
    if connection.HasField("sqlite") and not Path(connection.sqlite.filename_uri).exists():
        initialise(connection)  # a rollback can't wait until lost metadata are found
    store = open_existing(connection, read_only=False)
    pushed = pushed_model(store, to)
    inputs = {"pushed_model": pushed} if pushed else {}

    def rollback() -> Rollback:  # a push that this one waited for is what is replaced
        replaced = str(newest_version(config.serving))
        return Rollback(signature.by, signature.reason, str(to), replaced)

    return publish(
        place,
        folder,
        f"version {to}",
        note=lambda provenance: replace(provenance, rollback_of=rollback()),
        require=lambda: None,
        record=lambda copy: record_push(store, ROLLBACK, rollback(), copy, inputs),
        again=True,
    )
