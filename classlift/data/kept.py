"""What a run has found out, kept for the next one: of the same key it is the same."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classlift import own_folders
from classlift.data.checksums import with_checksum, without_checksum
from classlift.paths import replacing
from classlift.records import Json

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """A file of JSON with a checksum, in a folder of its own, which is made where it isn't there.

    Attributes:
        path: of the file.
        what: the purpose of its folder, as in `own_folders`.
        key: of all that the finding depends on.

    """

    path: Path
    what: str
    key: str

    def recall(self) -> Any | None:
        """What an earlier run found; None where it was of another key, or is damaged."""
        own_folders.make(self.path.parent, self.what)
        try:
            content = without_checksum(self.path.read_bytes())
        except FileNotFoundError:
            return None
        if content is None:
            logger.warning(f"{self.path} is damaged, and is made anew")
            return None
        kept = json.loads(content)
        return kept["found"] if kept["key"] == self.key else None

    def keep(self, found: Json) -> None:
        """Replaces what was found before: whole, or not at all."""
        document = json.dumps({"key": self.key, "found": found})
        with replacing(self.path) as draft:
            draft.write_bytes(with_checksum(document.encode()))
