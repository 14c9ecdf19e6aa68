"""What a search for copies has found, kept for the next run: of the same images it finds the same.

Labels change more often than images do, and the search depends on no label.
"""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from classlift import own_folders
from classlift.data.copies import Copy, Picture, find_copies
from classlift.data.kept import Kept

logger = logging.getLogger(__name__)

FILE = "copies.json"


@dataclass(frozen=True)
class KeptCopies:
    """`find_copies`, but that what was found the last time is not looked for again.

    Attributes:
        folder: that keeps it; made where it is not there.
        code_version: of all that searches.

    """

    folder: Path
    code_version: str

    def __call__(self, images: Sequence[Picture], originals: Sequence[Picture]) -> list[Copy]:
        """The copies, as `find_copies` finds them."""
        kept = Kept(self.folder / FILE, own_folders.COPIES, self._key(images, originals))
        known = kept.recall()
        if known is not None:
            logger.info("the images are those of the last run, and so are the copies among them")
            return [
                Copy(images[image], originals[original], how, difference)
                for image, original, how, difference in known
            ]
        copies = find_copies(images, originals)
        ours, theirs = (
            {picture: number for number, picture in enumerate(side)} for side in (images, originals)
        )
        kept.keep([[ours[c.image], theirs[c.original], c.how, c.difference] for c in copies])
        return copies

    def _key(self, images: Sequence[Picture], originals: Sequence[Picture]) -> str:
        digest = hashlib.sha256(self.code_version.encode())
        for side in (images, originals):
            digest.update(f"\n{len(side)}".encode())
            for picture in side:
                digest.update(f"\n{json.dumps(asdict(picture))}".encode())
        return digest.hexdigest()
