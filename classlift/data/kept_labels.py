"""What was read of large label files, kept: a file that has not changed is not read again."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pyarrow as pa

from classlift.data.checksums import damage, seal
from classlift.data.labels import reader
from classlift.paths import replacing, state

logger = logging.getLogger(__name__)

_LABELS, _SUMS = ".labels", ".sums"


def kept(
    folder: Path, path: Path, read: Callable[[], Sequence[pa.Table] | None]
) -> Sequence[pa.Table] | None:
    """The tables of a label file: those that are kept, or as it is read now.

    Args:
        folder: to keep them in, which is there.
        path: of the label file.
        read: reads it; None where there is nothing to keep.

    Returns:
        What `read` gives, now or when the file was last read in the state that it has.

    """
    key = _key(path)
    file, sums = folder / f"{key}{_LABELS}", f"{key}{_SUMS}"
    if (folder / sums).exists():
        if not damage(folder, [file.name], sums):
            return _read(file)
        logger.warning(f"{folder}: what was kept of {path} is damaged, and is read anew")
    tables = read()
    if tables is not None:
        with replacing(file) as draft, pa.OSFile(str(draft), "wb") as sink:
            for table in tables:
                with pa.ipc.new_stream(sink, table.schema) as writer:
                    writer.write_table(table)
        seal(folder, [file.name], sums)  # last: what has checksums is whole
    return tables


def _read(file: Path) -> list[pa.Table]:
    tables = []
    with pa.OSFile(str(file), "rb") as source:
        while source.tell() < source.size():
            tables.append(pa.ipc.open_stream(source).read_all())
    return tables


def keep_only(folder: Path, paths: Iterable[Path]) -> None:
    """Forgets what was kept of other files than these, and of these in other states."""
    keys = {_key(path) for path in paths}
    for file in folder.iterdir():
        if file.suffix in (_LABELS, _SUMS) and file.stem not in keys:
            file.unlink()


def _key(path: Path) -> str:
    return hashlib.sha256(repr((reader(), str(path), state(path))).encode()).hexdigest()[:32]
