"""One at a time, with the holder's name: locks that the kernel frees when their holder ends.

A lock is a file with `flock` on it and, in it, who holds it. A process that is killed holds nothing
any more, so no lock is ever stale. On one machine, and on file systems that share `flock`.
"""

import datetime
import errno
import fcntl
import getpass
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from classlift.errors import UnavailableError

logger = logging.getLogger(__name__)

SAY_EVERY = 60.0
"""Seconds between two lines of progress while a lock is waited for."""

_POLL = 1.0
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


@contextmanager
def alone(path: Path, doing: str, wait: bool = False) -> Iterator[None]:
    """Nobody else has the lock at a path within the block.

    Args:
        path: of the lock's file.
        doing: what the holder does, for those who are refused.
        wait: until it is free, with a line of progress.

    Raises:
        UnavailableError: it is not free, and is not waited for; names the holder.

    """
    with _held(path, doing, "", wait):
        yield


@contextmanager
def sharing(path: Path, doing: str, key: str, wait: bool = False) -> Iterator[None]:
    """As `alone`, but that holders of the same key have the lock together."""
    with _held(path, doing, key, wait):
        yield


@contextmanager
def _held(path: Path, doing: str, key: str, wait: bool) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        try:
            _wait(lock, path, doing, key, wait)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            logger.warning(
                f"{path.parent}: its file system knows no locks: nothing keeps a second run off"
            )
        yield


def _wait(lock: IO[str], path: Path, doing: str, key: str, wait: bool) -> None:
    said = float("-inf")
    while (holder := _try(lock, path, doing, key)) is not None:
        if not wait:
            raise UnavailableError(
                f"{path.parent}: {holder}. One at a time: wait until that has ended, or end it, "
                "and try again."
            )
        if time.monotonic() - said >= SAY_EVERY:
            logger.info(f"waiting, for {holder}")
            said = time.monotonic()
        time.sleep(_POLL)


def _try(lock: IO[str], path: Path, doing: str, key: str) -> str | None:
    """Takes the lock; where it can't be had, who holds it, in words."""
    with path.with_name(f"{path.name}.guard").open("a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # for the moment in which the lock and its note change
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            text = lock.read()
            if not key or _read(text).get("key") != key:
                return holder(text)
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return holder(text)
            return None
        lock.truncate(0)
        lock.write(json.dumps(note(doing, key)))
        lock.flush()
        if key:
            fcntl.flock(lock, fcntl.LOCK_SH)
    return None


def note(doing: str, key: str = "") -> dict[str, str]:
    """Who holds a lock: this process, and what it does."""
    now = datetime.datetime.now(datetime.UTC)
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = f"user {os.getuid()}"
    return {
        "key": key,
        "doing": doing,
        "user": user,
        "host": socket.gethostname(),
        "pid": str(os.getpid()),
        "since": now.isoformat(timespec="seconds"),
    }


def _read(text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def holder(text: str) -> str:
    """Who holds a lock, in words: of the JSON of a `note`."""
    found = _read(text)
    if not found:
        return "another process has it"
    return (
        f"{found.get('user')} is at it: {found.get('doing')}, process {found.get('pid')} on "
        f"{found.get('host')} since {found.get('since')}"
    )
