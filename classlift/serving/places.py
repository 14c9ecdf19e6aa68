"""Where versions are served from: a folder, or a place in object storage with a copy in a folder.

Whoever reads what is served reads the folder; what changes it, goes through here.
"""

import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from classlift import own_folders
from classlift.data.mirror import AT_ONCE, Mirror, opened, remove_others, said
from classlift.errors import UnavailableError
from classlift.locks import alone, holder, note
from classlift.own_folders import MARK
from classlift.paths import replacing
from classlift.serving.bundle import SAVED_MODEL
from classlift.serving.folder import is_number, served_versions
from classlift.serving.manifest import MANIFEST

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

logger = logging.getLogger(__name__)

DRAFT, LOCK = ".classlift-draft-", ".classlift-lock"
"""Names in the serving folder that are ours: how drafts begin, and the lock. Servers skip them."""

PUSHES = ".classlift-pushes"
"""The folder in a bucket that has an object for each push that goes on, of who pushes."""

ID = ".classlift-id"
"""The file in the copy of a bucket by whose text the bucket knows who pushes from there."""


@dataclass(frozen=True)
class ServingFolder:
    """Versions that servers find in a folder.

    Attributes:
        folder: of the versions; it need not be there.

    """

    folder: Path

    def __str__(self) -> str:
        return self.shown(self.folder)

    def shown(self, path: Path) -> str:
        """What a version's folder is called before people."""
        return str(path)

    def refresh(self) -> None:
        """Makes the folder have what is served."""

    @contextmanager
    def alone(self, doing: str) -> Iterator[None]:
        """Nobody else changes what is served within the block; `doing` is for those who wait."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with alone(self.folder / LOCK, doing, wait=True):
            yield

    def names(self) -> Iterable[str]:
        """All names beside the versions, for a version gets a number above all of them."""
        return (path.name for path in self.folder.iterdir())

    @contextmanager
    def sent(self, draft: Path) -> Iterator[None]:
        """Within the block, the files of a draft are where `serve` takes them from."""
        yield

    def serve(self, draft: Path, version: Path) -> None:
        """Makes a draft a version, all of it at once.

        Args:
            draft: a folder beside the versions.
            version: its folder from now on, which is not there yet.

        """
        draft.rename(version)
        sync(self.folder)

    def withdraw(self, version: Path) -> None:
        """Takes a version away from servers, whose folder the caller removes."""

    def keep_mark(self) -> None:
        """Keeps the mark that says whose the folder is."""


@dataclass(frozen=True)
class ServingBucket(ServingFolder):
    """Versions that servers find in object storage; the folder is a copy.

    What makes a folder a version for servers is its `saved_model.pb`, and that comes last and goes
    first: a version without one is none, here either, and the next push removes it.

    Attributes:
        mirror: which the folder is in.

    """

    mirror: Mirror

    def shown(self, path: Path) -> str:
        """The address of a version."""
        return self.mirror.shown(path)

    def refresh(self) -> None:
        """Fetches what came into the storage, and forgets what went."""
        with self._copy_alone(f"copy of {self}"):
            self._fetch()

    @contextmanager
    def alone(self, doing: str) -> Iterator[None]:
        """Nobody else changes what is served within the block, wherever they are.

        Each puts an object of its own first and looks then who else has one: of two at once, one at
        least sees the other, for what was put is listed from then on.

        Args:
            doing: what goes on, for those who are refused.

        Raises:
            UnavailableError: somebody else pushes, or was killed meanwhile.

        """
        with self._copy_alone(doing):
            own = f"{PUSHES}/{self._id()}"
            self._put(own, json.dumps(note(doing)).encode())
            try:
                self._require_alone(own)
                self._remove_halves(self._fetch())
                yield
            finally:
                with self._written() as (system, place):
                    system.delete_file(f"{place}/{own}")

    def names(self) -> Iterable[str]:
        """All names in the storage, which may be none of a version."""
        return {self._name(path) for path in self.mirror.listed(self.folder)}

    @contextmanager
    def sent(self, draft: Path) -> Iterator[None]:
        """Uploads a draft; what is left of it goes at the end."""
        aside = draft.parent.name
        logger.info(f"uploading it to {self}")
        try:
            with self._written() as (system, place):

                def upload(name: str) -> None:
                    with (
                        (draft / name).open("rb") as source,
                        system.open_output_stream(f"{place}/{aside}/{name}") as sink,
                    ):
                        shutil.copyfileobj(source, sink, _BLOCK)

                _at_once(upload, _names(draft))
            yield
        finally:
            with self._written() as (system, place):
                system.delete_dir_contents(f"{place}/{aside}", missing_dir_ok=True)

    def serve(self, draft: Path, version: Path) -> None:
        """Has the storage copy what was sent: its manifest first, `saved_model.pb` last.

        Args:
            draft: that was sent.
            version: its folder in the copy.

        """
        with self._written() as (system, place):

            def copy(name: str) -> None:
                there = f"{place}/{version.name}/{name}"
                system.copy_file(f"{place}/{draft.parent.name}/{name}", there)

            copy(MANIFEST)
            _at_once(copy, _names(draft) - {MANIFEST, SAVED_MODEL})
            copy(SAVED_MODEL)
        super().serve(draft, version)
        for path, info in self.mirror.listed(version).items():  # so that they are not fetched
            os.utime(path, ns=(info.mtime_ns, info.mtime_ns))

    def withdraw(self, version: Path) -> None:
        """Removes a version from the storage."""
        with self._written() as (system, place):
            system.delete_file(f"{place}/{version.name}/{SAVED_MODEL}")
            system.delete_dir(f"{place}/{version.name}")

    def keep_mark(self) -> None:
        """Uploads the mark."""
        self._put(MARK, (self.folder / MARK).read_bytes())

    def _put(self, name: str, content: bytes) -> None:
        with (
            self._written() as (system, place),
            system.open_output_stream(f"{place}/{name}") as sink,
        ):
            sink.write(content)

    @contextmanager
    def _copy_alone(self, doing: str) -> Iterator[None]:
        own_folders.make(self.mirror.folder, own_folders.MIRROR)
        with super().alone(doing):
            yield

    @contextmanager
    def _written(self) -> "Iterator[tuple[FileSystem, str]]":
        """The storage to write to, and the place in it; what fails is said in a sentence."""
        with said(str(self), "written"):
            yield opened(str(self))

    def _id(self) -> str:
        """Tells this copy from any other of the same storage."""
        path = self.folder / ID
        if not path.exists():
            with replacing(path) as draft:
                draft.write_text(uuid.uuid4().hex)
        return path.read_text()

    def _require_alone(self, own: str) -> None:
        for path, info in self.mirror.listed(self.folder / PUSHES).items():
            if path != self.folder / own:
                with self._written() as (system, _), system.open_input_stream(info.path) as source:
                    who = holder(source.read().decode())
                raise UnavailableError(
                    f"{self}: {who}. One push at a time: try again when that has ended; if it was "
                    f"killed, it goes on when it is tried again, or remove {self.shown(path)}."
                )

    def _fetch(self) -> "dict[Path, FileInfo]":
        """Makes the folder hold the whole versions of the storage; returns all objects there."""
        asked_at = time.time_ns()
        objects = self.mirror.listed(self.folder, missing_ok=True)
        versions = {
            name
            for name in map(self._name, objects)
            if is_number(name) and self.folder / name / SAVED_MODEL in objects
        }
        wanted = {path: info for path, info in objects.items() if self._name(path) in versions}
        for number in served_versions(self.folder):
            remove_others(self.folder / str(number), wanted)
        mark = self.folder / MARK
        if mark in objects:
            wanted[mark] = objects[mark]
        else:
            mark.unlink(missing_ok=True)
        self.mirror.bring(self.folder, wanted, asked_at)
        return objects

    def _remove_halves(self, objects: "dict[Path, FileInfo]") -> None:
        """Removes what pushes left that were killed: drafts, and versions that did not become one.

        Those of a version that we did not begin stay: they have no manifest.
        """
        for name in {self._name(path) for path in objects}:
            folder = self.folder / name
            half = folder / SAVED_MODEL not in objects and folder / MANIFEST in objects
            if name.startswith(DRAFT) or (is_number(name) and half):
                logger.info(f"removing {self.shown(folder)}, which a killed push left")
                with self._written() as (system, place):
                    system.delete_dir(f"{place}/{name}")

    def _name(self, path: Path) -> str:
        """What the folder or object directly in the place is called that a path belongs to."""
        return path.relative_to(self.folder).parts[0]


_BLOCK = 1 << 20  # bytes


def serving_place(serving: Path, mirror: Mirror) -> ServingFolder:
    """The place of a serving folder, which is in a mirror where it is a copy."""
    return ServingBucket(serving, mirror) if mirror.holds(serving) else ServingFolder(serving)


def sync(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _names(folder: Path) -> set[str]:
    """The files of a folder, as paths relative to it with `/`."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix() for path in paths}


def _at_once(work: Callable[[str], None], names: Iterable[str]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(work, names))
