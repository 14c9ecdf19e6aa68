"""The series: a scoring a line of JSON, the oldest first."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from classlift.errors import DataError
from classlift.paths import replacing
from classlift.records import Record
from classlift.watch.score import Figures


@dataclass(frozen=True)
class Scoring:
    """One scoring of what is served.

    Attributes:
        time: when, in ISO 8601, UTC.
        version: number of the version that was served.
        snapshot: hash of the labelled data.
        images: their number.
        classes: the figures of each class.

    """

    time: str
    version: int
    snapshot: str
    images: int
    classes: Mapping[str, Figures]

    @classmethod
    def read(cls, record: Record) -> "Scoring":
        """Reads what `dataclasses.asdict` made of one. Raises the record's fault for others."""
        classes = record.parts("classes")
        return cls(
            time=record.text("time"),
            version=record.count("version"),
            snapshot=record.text("snapshot"),
            images=record.count("images"),
            classes={label: Figures.read(part) for label, part in classes.items()},
        )


def read(path: Path) -> list[Scoring]:
    """Reads all scorings.

    Args:
        path: of the file.

    Returns:
        The scorings, the earliest first; none when there is no such file yet.

    Raises:
        DataError: it is damaged; names the line.

    """
    if not path.exists():
        return []
    lines = path.read_text("utf-8").splitlines()
    return [_scoring(line, f"{path}: line {number}") for number, line in enumerate(lines, 1)]


def _scoring(line: str, where: str) -> Scoring:
    def damaged(_: str) -> DataError:
        return DataError(f"{where} is no record of a scoring; mend it or remove it.")

    try:
        content = json.loads(line)
    except ValueError:
        raise damaged("") from None
    return Scoring.read(Record.of(content, damaged, ""))


def find(scorings: Sequence[Scoring], version: int, snapshot: str) -> Scoring | None:
    """The scoring of a version on a snapshot, or None."""
    keys = (version, snapshot)
    return next((s for s in scorings if (s.version, s.snapshot) == keys), None)


def append(path: Path, scoring: Scoring) -> list[Scoring]:
    """Adds a scoring to the file, whole or not at all.

    One process at a time: the caller sees to that.

    Args:
        path: of the file.
        scoring: to add; one whose version and snapshot were scored already is not added.

    Returns:
        All of them.

    Raises:
        DataError: as `read`.

    """
    scorings = read(path)
    if find(scorings, scoring.version, scoring.snapshot) is None:
        scorings.append(scoring)
        with replacing(path) as draft:
            draft.write_text("".join(json.dumps(asdict(s)) + "\n" for s in scorings), "utf-8")
    return scorings
