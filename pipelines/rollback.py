"""An older version is served again, by a named person with a reason; recorded for good."""

import shutil
from pathlib import Path

from components.bundle import Bundle
from components.dataset.writers import new_folder
from components.errors import ConfigError
from components.serving_folder import next_version, served_versions, version_folder
from pipelines.config import Config
from pipelines.metadata import (
    ROLLBACK,
    connection_to,
    initialise,
    open_existing,
    pushed_model,
    record_push,
)
from pipelines.override import signed


def roll_back(config: Config, by: str, reason: str, to: int | None = None) -> Path:
    """Serves an older version again, as a copy with a higher number; returns the new version.

    to: the version before the newest by default, so that a second rollback undoes the first. Who,
    why, and from what to what stand in the metadata and in the provenance that the copy carries.
    The champion of the next run is the copy.

    Raises ConfigError for a name or reason that says nothing, when there is nothing to go back to,
    and for a version that is unknown or is the newest; ModelError for a damaged one;
    EvaluationError when it can't be recorded. What is served stays then.
    """
    record = signed(by, reason)
    versions = served_versions(config.serving)
    if not versions:
        raise ConfigError(f"{config.serving}: nothing is served yet; run the pipeline first.")
    if to is None:
        if len(versions) == 1:
            raise ConfigError(
                f"{config.serving}: version {versions[0]} is the only one; there is none to go "
                "back to."
            )
        to = versions[-2]
    if to == versions[-1]:
        raise ConfigError(f"{config.serving}: version {to} is the one that is served now.")
    folder = version_folder(config.serving, to)
    record |= {"version": str(to), "replaced": str(versions[-1])}

    connection = connection_to(config.work)
    if connection.HasField("sqlite") and not Path(connection.sqlite.filename_uri).exists():
        initialise(connection)  # a rollback can't wait until lost metadata are found
    store = open_existing(connection, read_only=False)
    pushed = pushed_model(store, to)
    with next_version(config.serving) as destination, new_folder(destination) as draft:
        shutil.copytree(folder, draft, dirs_exist_ok=True)
        bundle = Bundle(draft)
        bundle.write_provenance({**bundle.provenance(), "rollback_of": record})
        inputs = {"pushed_model": pushed} if pushed else {}
        record_push(store, ROLLBACK, record, destination, inputs)
    return destination
