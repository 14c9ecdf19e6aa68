"""The records of a large JSON file, one after the other: the file is never in memory as a whole.

Each record is read by the standard library's own scanner, so it holds what reading the whole file
would show. What is not quite as it should be raises `Irregular`: whoever then reads the file whole
says what is wrong with it, in the sentence that small files get.
"""

import codecs
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from classlift.reading import MEGA, SURROGATE, open_regular, single_keys

PIECE_BYTES = 4 * MEGA
"""What is read at once."""

_MOST = 64 * MEGA  # characters of one record
_BLANKS = " \t\n\r"
_SCANNER = json.JSONDecoder(object_pairs_hook=single_keys)


class Irregular(ValueError):
    """A file is not the plain document that it is read as in a stream."""


def records(path: Path, what: str, lists: Collection[str]) -> Iterator[tuple[str, Any]]:
    """The records in lists of the object that a JSON file holds.

    Args:
        path: of the file.
        what: what it is to a user, such as "COCO JSON".
        lists: the keys of the lists.

    Yields:
        The key of its list and a record, in the order of the file. An empty list has none.

    Raises:
        DataError: the file can't be read.
        Irregular: it is no JSON in UTF-8 or no object, a key stands twice, one of the lists is
            missing or no list, or half a character is in it.

    """
    with open_regular(path, what) as file:
        text = _Text(iter(lambda: file.read(PIECE_BYTES), b""))
        try:
            seen: set[str] = set()
            text.expect("{")
            follows = text.next() != "}"
            while follows:
                key = text.value()
                if not isinstance(key, str) or key in seen:
                    raise Irregular(key)
                seen.add(key)
                text.expect(":")
                if key in lists:
                    text.expect("[")
                    inside = text.next() != "]"
                    while inside:
                        yield key, text.value()
                        inside = text.next() == ","
                        if inside:
                            text.expect(",")
                    text.expect("]")
                else:
                    text.value()
                follows = text.next() == ","
                if follows:
                    text.expect(",")
            text.expect("}")
            if text.next() or not seen.issuperset(lists):
                raise Irregular("what follows, or is missing")
        except (ValueError, RecursionError, OSError) as error:
            raise Irregular(str(error)) from None


class _Text:
    """A JSON text that is read as it is asked for.

    Args:
        pieces: its bytes.

    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text, self._place, self._ended = "", 0, False
        self._may_be_half = False

    def next(self) -> str:
        """The next character that is no blank, which stays; empty at the end."""
        while True:
            while self._place < len(self._text):
                if self._text[self._place] not in _BLANKS:
                    return self._text[self._place]
                self._place += 1
            if self._ended:
                return ""
            self._more()

    def expect(self, character: str) -> None:
        """Passes this character."""
        if self.next() != character:
            raise Irregular(f"no {character}")
        self._place += 1

    def value(self) -> Any:
        """Passes the next value, and returns it."""
        self.next()
        while True:
            try:
                found, end = _SCANNER.raw_decode(self._text, self._place)
                if end < len(self._text) or self._ended:  # else a number may go on
                    self._place = end
                    if self._may_be_half:
                        json.dumps(found, ensure_ascii=False).encode()
                    return found
            except json.JSONDecodeError:
                if self._ended or len(self._text) > _MOST:
                    raise
            self._more()

    def _more(self) -> None:
        piece = next(self._pieces, b"")
        self._ended = not piece
        self._text = self._text[self._place :] + self._decoder.decode(piece, self._ended)
        self._place = 0
        self._may_be_half = SURROGATE.search(self._text) is not None
