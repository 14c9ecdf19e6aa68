"""The TF Serving folder: which versions are served, and what they say of themselves."""

import itertools
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.errors import ConfigError, ModelError

ENTRY, PROVENANCE = "assets.extra", "provenance.json"
"""Of a version: the folder of the model as its backend saves it, and a file in it."""


def served_versions(serving_dir: Path) -> list[int]:
    """The versions in a TF Serving folder, oldest first; unfinished copies are not counted."""
    if not serving_dir.is_dir():
        return []
    return sorted(
        int(path.name)
        for path in serving_dir.iterdir()
        if path.name.isdecimal() and (path / "saved_model.pb").exists()
    )


def version_folder(serving_dir: Path, version: int) -> Path:
    """The folder of a version.

    Raises ConfigError when there is none, and names those that there are; ModelError when it can't
    be served and trained further.
    """
    folder = serving_dir / str(version)
    if not folder.is_dir():
        versions = ", ".join(map(str, served_versions(serving_dir))) or "none"
        raise ConfigError(f"{serving_dir}: there is no version {version}; there are: {versions}.")
    for part in ("saved_model.pb", ENTRY):
        if not (folder / part).exists():
            raise ModelError(
                f"{folder}: this version is damaged, or not of ClassLift's making: it has no "
                f"{part}; put it back, or name another version."
            )
    return folder


@contextmanager
def next_version(serving_dir: Path) -> Iterator[Path]:
    """The folder that the next version may become, which nobody else gets meanwhile.

    Its number is the time in seconds, as the Pusher's, or a higher one where that is taken, by an
    unfinished copy too: TF Serving serves the highest.
    """
    serving_dir.mkdir(parents=True, exist_ok=True)
    taken = [int(path.name) for path in serving_dir.iterdir() if path.name.isdecimal()]
    for number in itertools.count(max([int(time.time()), *(n + 1 for n in taken)])):
        folder, claim = serving_dir / str(number), serving_dir / f".{number}"
        try:
            claim.mkdir()  # of two at once, one fails
        except FileExistsError:
            continue
        try:
            if not folder.exists():
                yield folder
                return
        finally:
            claim.rmdir()


def champion_name(versions: Sequence[int], pretrained: Path) -> str:
    """What the champion is called: the newest version served, before any the pre-trained model."""
    return f"version {versions[-1]}" if versions else f"pre-trained {pretrained.name}"


def version_of(champion: str) -> int | None:
    """The version that `champion_name` named; None for the pre-trained model."""
    number = champion.removeprefix("version ")
    return int(number) if number.isdecimal() else None


def served_provenance(serving_dir: Path) -> dict[str, Any]:
    """The provenance of the newest version; empty when none is served that ClassLift made."""
    versions = served_versions(serving_dir)
    path = serving_dir / str(versions[-1]) / ENTRY / PROVENANCE if versions else None
    return json.loads(path.read_text()) if path and path.exists() else {}
