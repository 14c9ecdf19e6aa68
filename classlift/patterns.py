"""Regular expressions of users: matched in a process of their own, which can be ended.

Python's engine tries every way to match: `(a+)+$` takes longer than the universe is old for sixty
letters, and holds the interpreter while it does. The process has a limit of CPU time and of memory,
and sees nothing but the pattern and the texts.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from classlift.errors import ConfigError
from classlift.text import shorten

MAX_LENGTH = 1000
"""Characters of a pattern."""

CPU_SECONDS, TEXTS_PER_SECOND = 5, 100_000
"""For all texts of one use, and one more for so many of them: a million file names take two."""

_MEMORY = 1_000_000_000  # bytes of address space
_PROGRAM = f"""
import json, re, resource, sys
def limit(what, number):
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (number if hard < 0 else min(number, hard), hard))
limit(resource.RLIMIT_AS, {_MEMORY})
limit(resource.RLIMIT_CORE, 0)
limit(resource.RLIMIT_CPU, {CPU_SECONDS})
pattern = re.compile(json.loads(sys.stdin.readline()))
def found(text):
    match = pattern.search(text)
    if match is None:
        return None
    first = match.group(1) if pattern.groups else None
    return match.group() if first is None else first
count = 0
for line in sys.stdin:
    texts = json.loads(line)
    count += len(texts)
    limit(resource.RLIMIT_CPU, {CPU_SECONDS} + count // {TEXTS_PER_SECOND})
    print(json.dumps([found(text) for text in texts]), flush=True)
"""


def require_pattern(pattern: str, where: str) -> None:
    """Raises ConfigError for what is no regular expression, or too long for one."""
    if len(pattern) > MAX_LENGTH:
        raise ConfigError(
            f"{where}: the regular expression has {len(pattern)} characters; the most is "
            f"{MAX_LENGTH}."
        )
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ConfigError(
            f"{where}: no regular expression: {shorten(pattern, 100)!r} ({error})."
        ) from None


class Search:
    """Finds one pattern in texts; see `searching`."""

    def __init__(self, pattern: str, where: str, process: "subprocess.Popen[str]") -> None:
        self._pattern, self._where, self._process = pattern, where, process
        self._say(pattern)

    def _say(self, words: str | Sequence[str]) -> None:
        try:
            _pipe(self._process.stdin).write(json.dumps(words) + "\n")
            _pipe(self._process.stdin).flush()
        except BrokenPipeError:
            raise self._gave_up() from None

    def find(self, texts: Sequence[str]) -> list[str | None]:
        """Looks for the pattern in texts.

        Args:
            texts: of any length.

        Returns:
            For each, what the pattern's first group finds, or all of it; None for nothing.

        Raises:
            ConfigError: that takes too long.

        """
        self._say(texts)
        answer = _pipe(self._process.stdout).readline()
        if not answer:
            raise self._gave_up()
        return list(json.loads(answer))

    def _gave_up(self) -> ConfigError:
        return ConfigError(
            f"{self._where}: the regular expression {shorten(self._pattern, 100)!r} takes more "
            f"than {CPU_SECONDS} s or too much memory; write it without repetitions inside "
            "repetitions."
        )


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise TypeError("both ends of the process are pipes")
    return pipe


@contextmanager
def searching(pattern: str, where: str) -> Iterator[Search]:
    """A search for one pattern, in a process that ends with it.

    Args:
        pattern: a regular expression.
        where: what a sentence about it begins with.

    Yields:
        The search.

    Raises:
        ConfigError: the pattern is none, or takes too long.

    """
    require_pattern(pattern, where)
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    ) as process:
        try:
            yield Search(pattern, where, process)
        finally:
            process.kill()
