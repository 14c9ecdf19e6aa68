"""Reading files that people bring: regular files alone, of bounded size, depth and width.

A pipe would be waited for without end, a device is endless, and a few hundred bytes of YAML can
stand for gigabytes. Each fault is one sentence that names the file.
"""

import io
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import yaml

from classlift.errors import ClassLiftError, DataError

KILO, MEGA, GIGA = 1_000, 1_000_000, 1_000_000_000
MAX_DEPTH = 64
"""The deepest nesting of lists and mappings in YAML; no file that we read has more than six."""

MAX_NODES = 1_000_000
"""The most values of a YAML file, with what aliases stand for written out."""

Fault = type[ClassLiftError]

LFS_POINTER = "version https://git-lfs."
"""What a file begins with that lies where another one should, which nobody fetched."""

LFS_ADVICE = "this is a pointer of Git LFS; fetch the file itself with `git lfs pull`"

_STRING = "tag:yaml.org,2002:str"
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""What half a character begins with in JSON, and a whole one beyond the first 65,536 too."""


def open_regular(path: Path | str, what: str, fault: Fault = DataError) -> BinaryIO:
    """Opens a regular file to read its bytes; whatever else is there is never waited for.

    Args:
        path: of the file.
        what: what the file is to a user, such as "the config".
        fault: the error to raise.

    Returns:
        The open file.

    Raises:
        fault: it can't be read, or is no regular file.

    """  # noqa: DOC501 - what is raised again is the `fault`
    try:
        _require_regular(os.stat(path), path, what, fault)  # opening alone can move some devices
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        file = os.fdopen(descriptor, "rb")
    except (OSError, ValueError) as error:  # a name that is too long; one with a NUL character
        raise fault(f"{path}: {what} can't be read ({_reason(error)}).") from error
    try:
        _require_regular(os.fstat(descriptor), path, what, fault)  # the very file that is open
    except ClassLiftError:
        file.close()
        raise
    return file


def _require_regular(found: os.stat_result, path: Path | str, what: str, fault: Fault) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, a socket or a device"
        raise fault(f"{path}: {what} must be a regular file, and this is {kind}.")


def _reason(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)


def read_bytes(path: Path | str, what: str, limit: int, fault: Fault = DataError) -> bytes:
    """All bytes of a regular file. Raises `fault`, also where there are more than `limit`."""
    with open_regular(path, what, fault) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise fault(f"{path}: the file is larger than {_size(limit)}, the most for {what}.")
        try:
            data = file.read(size + 1)
        except OSError as error:
            raise fault(f"{path}: {what} can't be read ({_reason(error)}).") from error
    if data.startswith(LFS_POINTER.encode()):
        raise fault(f"{path}: {LFS_ADVICE}.")
    if len(data) != size:
        raise fault(f"{path}: {what} changes while it is read; try again when it is written.")
    return data


@contextmanager
def open_text(path: Path, what: str, limit: int, fault: Fault = DataError) -> Iterator[TextIO]:
    """Opens a regular file in UTF-8, with or without a byte order mark, to be read line by line.

    Lines end as they stand in the file. What is no UTF-8 raises UnicodeDecodeError while it is
    read; `read_text` says where.

    Args:
        path: of the file.
        what: what the file is to a user.
        limit: the most bytes of it.
        fault: the error to raise.

    Yields:
        The open file.

    Raises:
        fault: it can't be read, is larger, or has another size at the end.

    """
    with open_regular(path, what, fault) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise fault(f"{path}: the file is larger than {_size(limit)}, the most for {what}.")
        with io.TextIOWrapper(file, "utf-8-sig", newline="") as lines:
            yield lines
            if os.fstat(file.fileno()).st_size != size:
                raise fault(
                    f"{path}: {what} changes while it is read; try again when it is written."
                )


def _size(limit: int) -> str:
    for unit, name in ((GIGA, "GB"), (MEGA, "MB")):
        if limit >= unit:
            return f"{limit / unit:g} {name}"
    return f"{limit / KILO:g} kB"


def read_text(path: Path | str, what: str, limit: int, fault: Fault = DataError) -> str:
    """The text of a regular file in UTF-8, with or without a byte order mark. Raises `fault`."""
    data = read_bytes(path, what, limit, fault)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise fault(
            f"{path}: {what} is not a text file in UTF-8 (byte {error.start + 1}); save it as "
            "UTF-8."
        ) from None


def parse_json(text: str, where: str, fault: Fault = DataError) -> Any:
    """What a JSON text holds.

    Args:
        text: of the whole document.
        where: what a sentence about it begins with.
        fault: the error to raise.

    Returns:
        The document.

    Raises:
        fault: it is no JSON, a key stands twice in one object (the first would be lost without a
            word), it is nested too deeply, a number has more than 4300 digits, or a text is one
            that no file can hold (lone surrogates).

    """
    try:
        document = json.loads(text, object_pairs_hook=single_keys)
    except RecursionError:
        raise fault(f"{where}: not JSON that can be read: it is nested too deeply.") from None
    except ValueError as error:
        raise fault(
            f"{where}: not valid JSON ({error}); mend the file, or write it anew."
        ) from None
    if SURROGATE.search(text):
        try:
            json.dumps(document, ensure_ascii=False).encode()
        except RecursionError:
            raise fault(f"{where}: not JSON that can be read: it is nested too deeply.") from None
        except UnicodeEncodeError as error:
            found = error.object[error.start : error.end]
            raise fault(
                f"{where}: {found!r} is half a character (a lone surrogate); write the whole one."
            ) from None
    return document


def single_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Raises ValueError where a key stands twice in it."""
    found = dict(pairs)
    if len(found) < len(pairs):
        repeated, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {repeated!r} stands twice in one object")
    return found


def read_json(path: Path | str, what: str, limit: int, fault: Fault = DataError) -> Any:
    """What a JSON file holds, see `parse_json`. Raises `fault`."""
    return parse_json(read_text(path, what, limit, fault), str(path), fault)


def read_yaml(
    path: Path | str, what: str, limit: int, fault: Fault = DataError, typed: bool = True
) -> Any:
    """What a YAML file holds.

    Args:
        path: of the file.
        what: what the file is to a user, such as "the config".
        limit: the most bytes.
        fault: the error to raise.
        typed: numbers, true, false and null become Python's; False leaves every scalar the text
            that it is, so that a class called `no` or `2024-01-01` keeps its name.

    Returns:
        The document.

    Raises:
        fault: it can't be read or is no YAML, has tags, a key stands twice in one mapping, it is
            nested deeper than `MAX_DEPTH`, or has more than `MAX_NODES` values once aliases are
            written out.

    """
    text = read_text(path, what, limit, fault)
    try:
        _require_bounded(text)
        return yaml.load(text, _Typed if typed else _Texts)  # noqa: S506, of safe loaders
    except (yaml.YAMLError, ValueError) as error:  # ValueError: 2024-13-45, 5000 digits
        raise fault(f"{path}: {_yaml_words(error)}; mend it there.") from None


def _yaml_words(error: yaml.YAMLError | ValueError) -> str:
    """Where a file is no YAML, and why."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: not valid YAML ({error.problem})"
    return f"not valid YAML ({' '.join(str(error).split())})"


def line_of(text: str, place: Sequence[str | int], key: str) -> int | None:
    r"""The line on which a key stands in a YAML text that `read_yaml` takes.

    Args:
        text: of the file.
        place: keys and numbers of items that lead to its mapping.
        key: as text.

    Returns:
        The line, from 1; None where the key comes by an alias or a merge.

    >>> line_of("a:\n- {}\n- b: 1\n  c: 2\n", ["a", 1], "c")
    4

    """
    node: Any = yaml.compose(text, yaml.CSafeLoader)
    for step in place:
        if isinstance(node, yaml.SequenceNode):
            node = node.value[int(step)]
        else:
            node = next((v for k, v in node.value if k.value == str(step)), None)
        if node is None:
            return None
    found = (k for k, _ in node.value if k.value == key)
    return next((int(k.start_mark.line) + 1 for k in found), None)


class _SingleKeys:
    """The rule of a loader: no key of a mapping twice, of which the first would be lost without a
    word.
    """

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        for key, count in keys.most_common(1):
            if count > 1:
                raise yaml.YAMLError(f"the key {key!r} stands twice in one mapping")
        return super().construct_mapping(node, deep)  # type: ignore[misc]


class _Typed(_SingleKeys, yaml.CSafeLoader):  # type: ignore[misc]
    """Scalars become numbers, true, false, null and dates."""


class _Texts(_SingleKeys, yaml.CBaseLoader):  # type: ignore[misc]
    """Scalars stay texts."""


def _require_bounded(text: str) -> None:
    """Raises YAMLError where reading the text would take more than its length lets expect."""
    sizes: dict[str, int] = {}  # values that an anchor stands for
    opened: list[tuple[str | None, int]] = []  # anchor, values before it
    total = 0
    for event in yaml.parse(text, yaml.CSafeLoader):
        tag = getattr(event, "tag", None)
        if tag not in (None, _STRING):
            raise yaml.YAMLError(f"the tag {tag} on line {_line(event)} is not read")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise yaml.YAMLError(
                    f"the alias *{event.anchor} on line {_line(event)} stands for what it is in, "
                    "or for nothing"
                )
            total += sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor:
                sizes[anchor] = total - before
        if len(opened) > MAX_DEPTH:
            raise yaml.YAMLError(f"line {_line(event)} is nested more than {MAX_DEPTH} deep")
        if total > MAX_NODES:
            raise yaml.YAMLError(
                f"its aliases stand for more than {MAX_NODES:,} values on line {_line(event)}"
            )


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
