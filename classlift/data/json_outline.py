"""The outline of a JSON file, from its first bytes: enough to tell formats apart."""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from classlift.errors import DataError
from classlift.paths import State, state
from classlift.reading import open_regular

HEAD_BYTES = 256 * 1024
"""What is looked at of a file, which may have gigabytes."""

_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\s\[\]{}:,"]+', re.DOTALL)


@dataclass(frozen=True)
class Outline:
    """What the beginning of a JSON file shows.

    Attributes:
        kind: `{` for an object, `[` for a list, empty for what is neither.
        keys: of the object, with `{`, `[` or empty for an object, a list or another value.
        inner: the keys of the first object that lies directly in it.

    >>> parse('{"info": {}, "images": [{"id": 1}]}').keys
    {'info': '{', 'images': '['}
    >>> sorted(parse('[{"id": 1, "data": {"image": "a.jpg"}}, {"x": 1}]').inner)
    ['data', 'id']

    """

    kind: str
    keys: dict[str, str]
    inner: frozenset[str]


def outline(path: Path) -> Outline:
    """The outline of a file; one of what can't be read is empty. Nothing is judged here."""
    return _outline(path, state(path))


@lru_cache(maxsize=64)  # each format looks, one after the other
def _outline(path: Path, now: State) -> Outline:
    try:
        with open_regular(path, "a JSON file") as file:
            head = file.read(HEAD_BYTES)
    except (DataError, OSError):
        return parse("")
    return parse(head.decode("utf-8-sig", "replace"))


def parse(text: str) -> Outline:
    """The outline of the beginning of a JSON text, which may be cut anywhere."""
    opened: list[str] = []
    keys: dict[str, str] = {}
    inner: list[set[str]] = []
    key = kind = before = ""
    for piece in _PIECE.findall(text):
        if piece in "{[":
            if not opened:
                kind = piece
            elif len(opened) == 1:
                if opened[0] == "{":
                    keys[key] = piece
                if piece == "{":
                    inner.append(set())
            opened.append(piece)
        elif piece in "}]":
            if not opened:
                break
            opened.pop()
        elif piece == ":" and opened and opened[-1] == "{":
            key = _text(before)
            if len(opened) == 1:
                keys[key] = ""
            elif len(opened) == 2 and len(inner) == 1:
                inner[0].add(key)
        elif not opened:
            break
        before = piece
    return Outline(kind, keys, frozenset(inner[0] if inner else ()))


def _text(piece: str) -> str:
    try:
        return str(json.loads(piece))
    except ValueError:
        return piece
