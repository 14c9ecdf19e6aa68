"""Checksums beside files that we wrote: what is damaged is never taken for what it was.

Parquet reads most flipped bits as another table, without a word.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import google_crc32c
import numpy as np
import pyarrow as pa

from classlift.errors import DataError
from classlift.paths import replacing
from classlift.reading import MEGA, read_json

FILE = "checksums.json"
MAX_BYTES = 10 * MEGA
"""The most bytes that a file of checksums may have."""


def checksum(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_checksums(path: Path, sums: Mapping[str, Sequence[str]]) -> None:
    """Writes a file of checksums: of each file beside it by name, those that it may have."""
    with replacing(path) as draft:
        draft.write_text(json.dumps(sums))


def seal(folder: Path, names: Iterable[str], file: str = FILE) -> None:
    """Writes the checksums of files of a folder, which are whole now, into one beside them."""
    write_checksums(folder / file, {name: [checksum(folder / name)] for name in names})


def damage(folder: Path, names: Iterable[str], file: str = FILE) -> str | None:
    """What is wrong with files that were sealed: a few words for a sentence; None for nothing."""
    try:
        sums = read_json(folder / file, "a file of checksums", MAX_BYTES)
    except DataError:
        return f"{file} can't be read"
    for name in names:
        try:
            if checksum(folder / name) not in sums[name]:
                return f"{name} is not what was written"
        except (OSError, KeyError, TypeError):
            return f"{name} can't be read"
    return None


def with_checksum(content: bytes) -> bytes:
    """A file's content with its CRC32C before it, in a line of its own."""
    return f"{google_crc32c.value(content)}\n".encode() + content


def without_checksum(written: bytes) -> bytes | None:
    """What `with_checksum` was given; None where a byte of it is another one now."""
    total, _, content = written.partition(b"\n")
    return content if total == str(google_crc32c.value(content)).encode() else None


def text_of(strings: pa.StringArray) -> memoryview:
    """The bytes of all strings, one after the other, without an object for each."""
    _, offsets, data = strings.buffers()
    ends = np.frombuffer(offsets, np.int32)[[strings.offset, strings.offset + len(strings)]]
    return memoryview(data or b"")[ends[0] : ends[1]]
