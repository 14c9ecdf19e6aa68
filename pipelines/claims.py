"""Whose a folder is: the `work`, the `serving` and the compiled form of a config are its alone.

The mark of such a folder names the config that made it. Another config that names the same folder
is refused, wherever it is started. A claim holds while the file that it names is there and still
names the folder; so a config may be moved or renamed, and the folder goes with it.
"""

import logging
import os
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from classlift import own_folders
from classlift.data.mirror import Mirror
from classlift.errors import ConfigError
from classlift.faults import explain
from classlift.serving.places import ServingBucket, serving_place
from pipelines.nodes import ROWS
from pipelines.places import MIRROR, PIPELINE_ROOT
from pipelines.topology import TOPOLOGY, owner_of

logger = logging.getLogger(__name__)

WORK, SERVING, NAME = "work", "serving", "name"
"""Keys of a config whose values no two configs share."""

METADATA = "metadata.db"
FILES = (METADATA, "verdict.json", "report.html", "relabel.html", "airflow.log")
"""What is written directly into `work`."""

_KEEPS = (
    "Folder of the ClassLift config that is named here, and of no other. What ClassLift may remove "
    "in it has a file like this of its own; nothing else in it is ever removed."
)


@dataclass(frozen=True)
class Earlier:
    """How a folder in `work` looks that a version made which did not mark its folders yet.

    Attributes:
        purpose: as in its mark.
        paths: a pattern that each path in it, relative and at most two names long, has to match.
        needed: what has to be there.

    """

    purpose: str
    paths: str
    needed: tuple[str, ...] = ()

    def made(self, folder: Path) -> bool:
        """Whether the content proves that ClassLift made it."""
        found = [*folder.glob("*"), *folder.glob("*/*")]
        return all(
            re.fullmatch(self.paths, path.relative_to(folder).as_posix()) for path in found
        ) and all((folder / name).exists() for name in self.needed)


_MEMORY = Earlier(
    own_folders.MEMORY, r"(parts|last|draft)(/[^/]+)?|\.?splits\.parquet.*", ("parts",)
)
_VALIDATION = Earlier(
    own_folders.VALIDATION,
    r"report\.html|findings\.json|relabel\.json|data_docs(/[^/]+)?",
    ("report.html", "findings.json", "data_docs"),
)
EARLIER = {
    PIPELINE_ROOT: Earlier(own_folders.OUTPUTS, rf"({'|'.join(ROWS)})(/[^/]+)?"),
    "memory": _MEMORY,
    "validation": _VALIDATION,
    "checkpoints": Earlier(own_folders.CHECKPOINTS, r"\.?[0-9a-f]{32}\.npz(\.[0-9a-f]{32})?"),
    "features": Earlier(own_folders.FEATURES, r"lock|\.?index\.json.*|[0-9]+\.npy", ("lock",)),
    "runs": Earlier(own_folders.RUNS, r"[^/]+(/(\w+\.(json|log)|evaluation))?"),
    "airflow": Earlier(own_folders.AIRFLOW, r"[^/]+(/[^/]+)?", ("airflow.cfg",)),
    "watch": Earlier(
        own_folders.WATCH,
        r"\.lock|\.?series\.jsonl.*|watch\.html|(validation|memory)(/[^/]+)?",
        (".lock",),
    ),
    "watch/validation": _VALIDATION,
    "watch/memory": _MEMORY,
}
"""The folders that runs make in `work`."""

_COMPILED = Earlier(
    own_folders.COMPILED, r"(pipeline|topology|schema)\.(json|pbtxt|tmp)", (TOPOLOGY,)
)


def claim(name: str, config: Path, work: Path, serving: Path) -> None:
    """Makes `work` and `serving` folders of this config, unless they are already.

    Of a bucket, the copy in `work` is refreshed first.

    Args:
        name: of the config.
        config: its file.
        work: folder that runs write to.
        serving: folder of the versions.

    Raises:
        ConfigError: one is another config's, or runs would write to `work` where something is that
            ClassLift did not make. Nothing is touched then.

    """
    _require_free(work, WORK, config)
    place = serving_place(serving, Mirror(work / MIRROR))
    place.refresh()
    address = str(place) if isinstance(place, ServingBucket) else ""
    _require_free(serving, SERVING, config, address)
    for found, purpose in _earlier(work):
        own_folders.write_mark(found, {"what": purpose, "note": own_folders.NOTE})
        logger.info(f"{found}: made by an earlier version; now it is marked")
    facts = {NAME: name, "config": str(config), "note": _KEEPS}
    _take(work, {"what": WORK, **facts})
    if _take(serving, {"what": SERVING, **facts}):
        place.keep_mark()


def claim_compiled(folder: Path, name: str, config: Path) -> None:
    """Makes a folder for compiled pipelines this config's, as `claim` does; its key is the name."""
    require_compiled_free(folder, name, config)
    facts = {"what": own_folders.COMPILED, NAME: name, "config": str(config)}
    _take(folder, {**facts, "note": own_folders.NOTE})


def require_compiled_free(folder: Path, name: str, config: Path) -> None:
    """Raises ConfigError when `claim_compiled` would."""
    _require_free(folder, NAME, config, name)
    if not own_folders.is_own(folder, own_folders.COMPILED) and not _COMPILED.made(folder):
        own_folders.require_own(folder, own_folders.COMPILED)


def compiled_for(folder: Path) -> Path | None:
    """The config that a folder was compiled for. A folder that an earlier version made is marked.

    Args:
        folder: to look at.

    Returns:
        The config's file; None for a folder that ClassLift did not make.

    """
    if own_folders.mark_of(folder) is None and _COMPILED.made(folder):
        claim_compiled(folder, *owner_of(folder))
    mark = own_folders.mark_of(folder)
    return Path(mark["config"]) if mark and mark["what"] == own_folders.COMPILED else None


def _require_free(folder: Path, key: str, config: Path, name: str = "") -> None:
    """Raises ConfigError when a folder is no folder, or another config's."""
    what = own_folders.COMPILED if key == NAME else key
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise ConfigError(f"{config}: {key}: {folder} is no folder; name one.")
    mark = own_folders.mark_of(folder)
    if mark is None:
        return
    if mark.get("what") != what:
        raise ConfigError(
            f"{config}: {key}: {folder} is where ClassLift keeps its {mark.get('what')}; name "
            "another folder."
        )
    other = Path(mark.get("config", ""))
    if other != config and other.is_file() and _names(other, key, name or folder):
        raise ConfigError(
            f"{config} and {other} have the same {key} ({name or folder}), and no two configs "
            f"share one: give one of them another {key}, or remove the config that is no longer "
            "in use."
        )


def _names(config: Path, key: str, value: str | Path) -> bool:
    """Whether a config still names a folder, or has a name; True where it can't be read."""
    from pipelines.config import ROOT, named_in

    said = named_in(config, key)
    if not isinstance(said, str):
        return True
    if isinstance(value, str):
        return Path(said) == Path(value)  # of an address, a slash at its end says nothing
    return os.path.realpath(ROOT / said) == str(value)


def _take(folder: Path, facts: dict[str, str]) -> bool:
    """Marks a folder; whether that was needed."""
    mark = own_folders.mark_of(folder)
    if mark and all(mark.get(key) == facts[key] for key in (NAME, "config")):
        return False
    if mark and mark.get("config") != facts["config"]:
        logger.info(
            f"{folder}: was of {mark.get('config')}, which is gone or names another one now; it "
            f"goes to {facts['config']}"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if explain(error):
            raise
        raise ConfigError(
            f"{facts['config']}: {folder} can't be made ({error.strerror}); name another folder."
        ) from None
    own_folders.write_mark(folder, facts)
    return True


def _earlier(work: Path) -> list[tuple[Path, str]]:
    """Finds what an earlier version made in a work folder without a mark.

    Returns:
        The folders, with their purposes.

    Raises:
        ConfigError: something that we did not make is where runs would write.

    """
    if not os.path.isdir(work) or own_folders.mark_of(work) is not None:
        return []
    found = []
    for name, earlier in EARLIER.items():
        folder = work / name
        if own_folders.mark_of(folder) is not None:
            continue
        if folder.is_dir() and any(folder.iterdir()) and earlier.made(folder):
            found.append((folder, earlier.purpose))
        else:
            own_folders.require_own(folder, earlier.purpose)
    database = work / METADATA
    if own_folders.OUTPUTS in [purpose for _, purpose in found] or _is_ml_metadata(database):
        return found
    foreign = [work / name for name in FILES if os.path.lexists(work / name)]
    if foreign:
        raise ConfigError(
            f"{foreign[0]}: runs write a file of this name, and ClassLift did not make the one "
            "that is there; nothing was touched. Move it away, or name another `work`."
        )
    return found


def _is_ml_metadata(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            query = "SELECT 1 FROM sqlite_master WHERE name = 'MLMDEnv'"
            return database.execute(query).fetchone() is not None
    except sqlite3.Error:
        return False
