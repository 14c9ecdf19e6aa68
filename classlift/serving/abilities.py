"""`abilities.json`: what a model can do, as its detector said when it was written."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from classlift.errors import ModelError
from classlift.records import Record

FILE = "abilities.json"


@dataclass(frozen=True)
class Abilities:
    """What a model can do; the defaults are of versions that were served before there was a note.

    Attributes:
        can_branch: whether a class can have a head of its own.
        can_branch_neck: whether such a head can have a neck of its own before it.
        smallest_object: as `Detector.smallest_object`; None also for a model that does not say.
        unanswered: the classes of its label map that it never answers with: new ones, not trained
            yet.

    """

    can_branch: bool = True
    can_branch_neck: bool = True
    smallest_object: float | None = None
    unanswered: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        """Writes `abilities.json` into the folder of the model."""
        (folder / FILE).write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> "Abilities":
        """Reads them from the folder of the model.

        Args:
            folder: of the model.

        Returns:
            The abilities; the defaults where there is no file.

        Raises:
            ModelError: the file is damaged.

        """
        path = folder / FILE
        if not path.exists():
            return cls()

        def fault(name: str) -> ModelError:
            return ModelError(
                f"{path}: it is damaged (`{name}` is missing or of the wrong type); put it back."
            )

        try:
            record = Record.of(json.loads(path.read_text("utf-8")), fault, "")
        except ValueError as error:
            raise ModelError(f"{path}: it is damaged ({error}); put it back.") from None
        return cls(
            record.flag("can_branch") if record.has("can_branch") else True,
            record.flag("can_branch_neck") if record.has("can_branch_neck") else True,
            record.figure("smallest_object") if record.has("smallest_object") else None,
            record.texts("unanswered") if record.has("unanswered") else (),
        )
