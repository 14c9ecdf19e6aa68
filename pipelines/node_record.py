"""`<node>.json` in a run's folder: how one node of a run ended. `dags/verdicts.py` reads it too."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from classlift.errors import PipelineError
from classlift.records import Record

DONE, CACHED, SKIPPED = "done", "cached", "skipped"
"""How a node ends well."""


@dataclass(frozen=True)
class NodeRecord:
    """How a node of a run ended.

    Attributes:
        node: its id.
        outcome: one of the above.
        seconds: from the start of its process.
        import_seconds: of these, for its imports and for what stands before its own work.

    """

    node: str
    outcome: str
    seconds: float
    import_seconds: float

    def write(self, folder: Path) -> None:
        """Writes it into the folder of the run."""
        (folder / f"{self.node}.json").write_text(json.dumps(asdict(self)))


def read(folder: Path, node: str) -> NodeRecord:
    """The record of a node that ended well. Raises PipelineError for one that is damaged."""
    return _read(folder / f"{node}.json")


def read_all(folder: Path) -> list[NodeRecord]:
    """The records of all nodes of a run. Raises PipelineError for one that is damaged."""
    return [_read(path) for path in folder.glob("*.json")]


def _read(path: Path) -> NodeRecord:
    def fault(name: str) -> PipelineError:
        return PipelineError(
            f"{path}: it is damaged (`{name}` is missing or of the wrong type); remove it."
        )

    try:
        record = Record.of(json.loads(path.read_text()), fault, "")
    except ValueError as error:
        raise PipelineError(f"{path}: it is damaged ({error}); remove it.") from None
    return NodeRecord(
        record.text("node"),
        record.text("outcome"),
        record.figure("seconds"),
        record.figure("import_seconds"),
    )
