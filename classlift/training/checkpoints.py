"""Checkpoints of a training run: killed at any step and started again, it ends as it would have."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from classlift import own_folders
from classlift.errors import ModelError
from classlift.paths import replacing
from classlift.records import JsonObject, Record

Arrays = dict[str, np.ndarray]
Notes = JsonObject
"""What a checkpoint holds beside arrays, as JSON."""

NAMES = re.compile(r"[0-9a-f]{32}\.npz|\.[0-9a-f]{32}\.npz\.[0-9a-f]{32}")
"""The names of our files: a checkpoint, and the draft of one."""


class Checkpoints:
    """The last checkpoint of one training run, in a folder that outlives the process.

    Args:
        depends_on: all that the run's outcome depends on; checkpoints of another run are removed by
            the first `save`.

    Raises:
        ConfigError: the folder has content that is not ours; before anything is trained.

    """

    def __init__(self, folder: Path, depends_on: Mapping[str, Any]) -> None:
        text = json.dumps(dict(depends_on), sort_keys=True)
        self._folder = own_folders.make(folder, own_folders.CHECKPOINTS)
        self._path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz"

    def save(self, step: int, arrays: Arrays, notes: Notes) -> None:
        """Replaces the checkpoint: whole, or not at all."""
        own_folders.make(self._folder, own_folders.CHECKPOINTS)
        for other in self._folder.iterdir():
            if other != self._path and NAMES.fullmatch(other.name):
                other.unlink()  # of another run, or half-written
        text = json.dumps({**notes, "step": step}).encode()
        with replacing(self._path) as draft, draft.open("wb") as file:
            everything = {**arrays, "notes": np.frombuffer(text, np.uint8)}
            np.savez(file, **everything)  # type: ignore[arg-type]  # its own flag has a name too

    def load(self) -> tuple[Arrays, Record] | None:
        """Reads what was saved last.

        Returns:
            Arrays and notes; None when there is no checkpoint. A note that is missing or of another
            type is a ModelError when it is asked for.

        """
        if not self._path.exists():
            return None
        with np.load(self._path) as file:
            arrays = {name: file[name] for name in file.files if name != "notes"}
            return arrays, Record.of(json.loads(file["notes"].tobytes()), self._damaged, "")

    def _damaged(self, name: str) -> ModelError:
        return ModelError(
            f"{self._path}: the checkpoint is damaged (`{name}` is missing or of the wrong type); "
            "remove it and train again."
        )

    @property
    def path(self) -> Path:
        """The file of the last checkpoint, whether it is there or not yet."""
        return self._path

    def clear(self) -> None:
        """Removes all: the training has ended, and what it made is somewhere else."""
        own_folders.remove(self._folder, own_folders.CHECKPOINTS)
