"""The series: a record a scoring, a line of JSON each, the oldest first.

A record has `time` (ISO 8601, UTC), `version` (of what was served), `snapshot` (hash of the
labelled data), `images` (their number) and `classes` (`score.Figures` by class).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from classlift.errors import DataError
from classlift.paths import replacing

Record = dict[str, Any]


def read(path: Path) -> list[Record]:
    """All records; none when there is no such file yet.

    Raises DataError, naming the line, for one that is damaged.
    """
    if not path.exists():
        return []
    records = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        try:
            record = json.loads(line)
            record["time"], record["version"], record["snapshot"], record["images"]
            record["classes"].items()
        except (ValueError, KeyError, TypeError, AttributeError):
            raise DataError(
                f"{path}: line {number} is no record of a scoring; mend it or remove it."
            ) from None
        records.append(record)
    return records


def find(records: Sequence[Record], version: int, snapshot: str) -> Record | None:
    """The record of a version on a snapshot, or None."""
    keys = (version, snapshot)
    return next((r for r in records if (r["version"], r["snapshot"]) == keys), None)


def append(path: Path, record: Record) -> list[Record]:
    """Adds a record to the file, whole or not at all, and returns all of them.

    One that has a record of its version and snapshot there already is not added. One process at a
    time: the caller sees to that. Raises DataError as `read` does.
    """
    records = read(path)
    if find(records, record["version"], record["snapshot"]) is None:
        records.append(record)
        with replacing(path) as draft:
            draft.write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")
    return records
