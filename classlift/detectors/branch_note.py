"""`branches.json`: which classes of a model on disk have heads of their own."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from classlift.data.label_map import LabelMap
from classlift.errors import ModelError
from classlift.settings.freeze import is_part

BRANCHES = "branches.json"
"""The note beside the config of a model in which classes have heads of their own, or that was given
new classes."""


@dataclass(frozen=True)
class Note:
    """What `BRANCHES` says.

    Attributes:
        branches: the parts of each class's branch.
        new: the classes that the model's own columns do not have, in the order in which they came.
        verified: how much the verifier weighs of each class that has one.

    """

    branches: Mapping[str, frozenset[str]] = field(default_factory=dict)
    new: Sequence[str] = ()
    verified: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, label_map: LabelMap) -> "Note":
        """Reads the note of a model on disk, which may have none.

        Args:
            folder: of the model.
            label_map: of the model; it names all classes of the note.

        Returns:
            The note; an empty one where there is no file.

        Raises:
            ModelError: it is damaged, or does not fit the label map.

        """  # noqa: DOC501 - KeyError is caught
        path = folder / BRANCHES
        if not path.exists():
            return cls()
        try:
            record = json.loads(path.read_text())
            branches = {label: frozenset(parts) for label, parts in record["branches"].items()}
            new = [str(label) for label in record.get("new", [])]
            verified = {label: int(count) for label, count in record.get("verified", {}).items()}
            fits = all(label in label_map for label in (*branches, *new))
            fits &= all(label in branches and inputs > 0 for label, inputs in verified.items())
            if not fits or not all(map(is_part, frozenset().union(*branches.values()))):
                raise KeyError
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ModelError(
                f'{path}: must be {{"branches": {{class of the label map: [its parts]}}, "new": '
                '[classes of the label map], "verified": {class with a branch: a number}}; take it '
                "from the same folder as the checkpoint."
            ) from None
        return cls(branches, new, verified)

    def write(self, folder: Path) -> None:
        """Writes the note; nothing where it has nothing to say."""
        (folder / BRANCHES).unlink(missing_ok=True)
        if not self.branches and not self.new:
            return
        branches = {label: sorted(parts) for label, parts in self.branches.items()}
        record: dict[str, object] = {"branches": branches}
        if self.new:
            record["new"] = list(self.new)
        if self.verified:
            record["verified"] = dict(self.verified)
        (folder / BRANCHES).write_text(json.dumps(record))
