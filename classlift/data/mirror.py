"""Data in object storage, `s3://` and `gs://`: mirrored into a folder, and read there as files.

A mirror has each object below `SCHEME/BUCKET/KEY` with the object's own time, so that what has not
changed is neither fetched nor read again.
"""

import logging
import os
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classlift import own_folders
from classlift.errors import ConfigError, DataError, UnavailableError
from classlift.locks import alone
from classlift.paths import replacing

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

logger = logging.getLogger(__name__)

SCHEMES = ("s3", "gs")

ENDPOINT = "AWS_ENDPOINT_URL"
"""The variable of the AWS tools that names another server than Amazon's."""

_PATHS = ("path", "images", "label_map")
"""The keys of a source in a config that may be addresses."""

AT_ONCE = 16
"""How many objects are on the way at a time."""

_REFUSED = ("ACCESS_DENIED", "NO_SUCH_BUCKET", "PERMISSION_DENIED")
"""Words of storages for what no retry mends."""

_LOCK = ".lock"
_BLOCK = 1 << 20  # bytes
_SETTLED = 2 * 10**9  # ns: times of objects are whole seconds, within which one may change again


@dataclass(frozen=True)
class Mirror:
    """A folder with what object storage has, as far as it was fetched.

    Attributes:
        folder: that is ours; made when something is fetched.

    """

    folder: Path

    def place(self, path: Path) -> Path | None:
        """Where what a config names is in the mirror.

        Args:
            path: as the config has it, `s3://bucket/key`, of which a path keeps one slash.

        Returns:
            The file or folder; None where it is no address of object storage.

        Raises:
            ConfigError: the address has no bucket, or climbs.

        >>> Mirror(Path("/w/mirror")).place(Path("s3://bucket/labels/a.json"))
        PosixPath('/w/mirror/s3/bucket/labels/a.json')

        """
        if not is_address(path):
            return None
        scheme, *parts = path.parts
        if not parts or ".." in parts:
            raise ConfigError(
                f"{str(path)!r} is no place in object storage; write {scheme}//BUCKET/KEY."
            )
        return self.folder.joinpath(scheme[:-1], *parts)

    def localised(self, source: Mapping[str, Any], root: Path) -> dict[str, Any]:
        """A source as a config has it, with places in the mirror instead of addresses.

        Args:
            source: its keys as the YAML has them.
            root: that relative paths start from, which may be in the mirror.

        Returns:
            The same keys.

        Raises:
            ConfigError: a path climbs in object storage.

        """
        result = dict(source)
        for key in _PATHS:
            if source.get(key):
                path = Path(source[key])
                if self.holds(root) and ".." in path.parts:
                    raise ConfigError(f"{key}: {str(path)!r} climbs; write s3://BUCKET/KEY.")
                result[key] = str(self.place(path) or path)
        return result

    def holds(self, path: Path) -> bool:
        """Whether what is at a path comes from object storage."""
        return path != self.folder and path.is_relative_to(self.folder)

    def address(self, path: Path) -> str:
        """What is mirrored at a path: `s3://bucket/key`."""
        scheme, *parts = path.relative_to(self.folder).parts
        return f"{scheme}://{'/'.join(parts)}"

    def shown(self, path: Path) -> str:
        """A path as it is called before people: its address, where it is of object storage."""
        return self.address(path) if self.holds(path) else str(path)

    def fetch(self, paths: Iterable[Path | None]) -> None:
        """Mirrors what paths in the mirror stand for; others are left alone.

        Of a folder all that is in it; of a file all in the folder that holds it, for images lie
        beside labels. What is not there any more goes from the mirror too.

        Args:
            paths: of files and folders, which need not be there.

        Raises:
            ConfigError: an address may not be read.
            DataError: there is nothing at an address, or it has a key that is no path.
            UnavailableError: the storage does not answer, or an object changed meanwhile.

        """
        mirrored = [path for path in paths if path is not None and self.holds(path)]
        if not mirrored:
            return
        own_folders.make(self.folder, own_folders.MIRROR)
        with alone(self.folder / _LOCK, "mirroring of object storage", wait=True):
            for folder in dict.fromkeys(map(self._folder, mirrored)):
                self._fetch(folder)

    def _folder(self, path: Path) -> Path:
        """The path itself where it stands for a folder, else the one that it lies in."""
        from pyarrow.fs import FileType

        address = self.address(path)
        with said(address):
            system, key = opened(address)
            found = system.get_file_info(key)
        if found.type == FileType.NotFound:
            raise DataError(f"{address}: there is no such object or folder; check `data.sources`.")
        return path.parent if found.type == FileType.File else path

    def _fetch(self, folder: Path) -> None:
        asked_at = time.time_ns()
        objects = self.listed(folder)
        for path in objects:
            above = next((parent for parent in path.parents if parent in objects), None)
            if above:
                raise DataError(
                    f"{self.address(above)}: it is an object, and a folder of others, which no "
                    "file can be; name one of them otherwise."
                )
        remove_others(folder, objects)
        self.bring(folder, objects, asked_at)

    def listed(self, folder: Path, missing_ok: bool = False) -> "dict[Path, FileInfo]":
        """The objects of a folder, by where they are in the mirror.

        Args:
            folder: in the mirror; nothing of it need be there.
            missing_ok: whether there may be no such folder in the storage, which then has none.

        Returns:
            What the storage says of each.

        Raises:
            ConfigError: the folder may not be read.
            DataError: an object has a key that is no path.
            UnavailableError: the storage does not answer.

        """
        from pyarrow.fs import FileSelector, FileType

        address = self.address(folder)
        with said(address):
            system, prefix = opened(address)
            selector = FileSelector(prefix, allow_not_found=missing_ok, recursive=True)
            found = system.get_file_info(selector)
        return {
            self._file(folder, prefix, info): info for info in found if info.type == FileType.File
        }

    def bring(self, folder: Path, objects: "Mapping[Path, FileInfo]", asked_at: int) -> None:
        """Fetches those of a folder's objects that the mirror does not have as they are.

        Args:
            folder: in the mirror.
            objects: of `listed`.
            asked_at: when they were listed, in ns.

        Raises:
            ConfigError: an object may not be read.
            UnavailableError: the storage does not answer, or an object changed meanwhile.

        """
        stale = {path: info for path, info in objects.items() if not _is_current(path, info)}
        if not stale:
            return
        address = self.address(folder)
        size = sum(info.size for info in stale.values()) / 1e6
        logger.info(
            f"{address}: fetching {len(stale):,} of {len(objects):,} objects, {size:.0f} MB"
        )
        for parent in {path.parent for path in stale}:
            parent.mkdir(parents=True, exist_ok=True)
        with said(address), ThreadPoolExecutor(AT_ONCE) as pool:
            system, _ = opened(address)
            list(pool.map(partial(_fetch_one, system, asked_at), stale, stale.values()))

    def _file(self, folder: Path, prefix: str, info: "FileInfo") -> Path:
        """Where an object of a folder is mirrored; its key must be a path that stays there."""
        key = info.path.removeprefix(prefix).removeprefix("/")
        parts = key.split("/")
        if any(part in ("", ".", "..") or "\0" in part for part in parts):
            raise DataError(
                f"{self.address(folder)}: its key {key!r:.200} is no path of a file; name the "
                "object otherwise, or move it elsewhere."
            )
        return folder.joinpath(*parts)


def is_address(path: Path) -> bool:
    """Whether what a config names is in object storage; a path keeps one slash of its address."""
    return path.parts[:1] in [(f"{scheme}:",) for scheme in SCHEMES]


def remove_others(folder: Path, objects: Collection[Path]) -> None:
    """Removes from a folder of the mirror all files but those of objects, and empty folders."""
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder before it
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        elif not path.is_dir() and path not in objects:
            path.unlink()


def opened(address: str) -> "tuple[FileSystem, str]":
    """The file system of an address, by the environment's credentials, and the path in it."""
    from pyarrow.fs import FileSystem, S3FileSystem

    scheme, _, path = address.partition("://")
    endpoint = os.environ.get(ENDPOINT)
    if scheme == "s3" and endpoint:
        return S3FileSystem(endpoint_override=endpoint), path
    return FileSystem.from_uri(f"{scheme}://{path.partition('/')[0]}")[0], path


@contextmanager
def said(address: str, doing: str = "mirrored") -> Iterator[None]:
    """Turns what goes wrong with a storage into a sentence on an address.

    Args:
        address: that is mirrored or written.
        doing: which of the two, as a participle.

    Raises:
        ConfigError: it may not be.
        UnavailableError: the storage does not answer, or the disk is full.

    """
    try:
        yield
    except OSError as error:
        answer = " ".join(str(error).split())
        if any(word in answer for word in _REFUSED):
            raise ConfigError(
                f"{address}: it can't be {doing} ({answer}); check the address and what the "
                "credentials of the environment may do."
            ) from None
        raise UnavailableError(
            f"{address}: it can't be {doing} ({answer}); see that the object storage answers and "
            "that the disk has room, and try again."
        ) from None


def _is_current(path: Path, info: "FileInfo") -> bool:
    """Whether a file is the mirror of an object as it is now."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return (found.st_size, found.st_mtime_ns) == (info.size, info.mtime_ns)


def _fetch_one(system: "FileSystem", asked_at: int, path: Path, info: "FileInfo") -> None:
    """Mirrors an object, whole or not at all; it was listed at `asked_at`, in ns."""
    with replacing(path) as draft:
        with system.open_input_stream(info.path) as source, draft.open("wb") as sink:
            shutil.copyfileobj(source, sink, _BLOCK)
        if draft.stat().st_size != info.size:
            raise UnavailableError(f"{info.path}: it changed while it was fetched; try again.")
        # One that has just been written may change without another time: it is fetched again.
        settled = info.mtime_ns < asked_at - _SETTLED
        os.utime(draft, ns=(info.mtime_ns, info.mtime_ns - (not settled)))
