"""Regular expressions of users find what Python's do, and take no longer than they may."""

import re
import time

import pytest

from classlift import patterns
from classlift.errors import ConfigError
from classlift.patterns import searching

pytestmark = pytest.mark.unit
TEXTS = ["Town01_000060.jpg", "", "caf\u00e9/a b.png", "a\nb", "\U0001f600", "aa"]


@pytest.mark.parametrize("pattern", ["^(Town[0-9]+)_", "a(b)?", r"(?P<x>.)(?P=x)", "", "^$", "x*"])
def test_finds_what_python_finds(pattern):
    found = [re.search(pattern, text) for text in TEXTS]
    expected = [
        m and (m.group(1) if m.re.groups and m.group(1) is not None else m[0]) for m in found
    ]
    with searching(pattern, "group") as search:
        assert search.find(TEXTS) == expected
        assert search.find(TEXTS[::-1]) == expected[::-1]


@pytest.mark.parametrize("pattern", [r"^([\w/]+)*!$", "(a|aa)+$", "(.*)*(.*)*(.*)*!"])
def test_catastrophic_patterns_end(monkeypatch, pattern):
    monkeypatch.setattr(
        patterns, "_PROGRAM", patterns._PROGRAM.replace("RLIMIT_CPU, 5", "RLIMIT_CPU, 1")
    )
    started = time.process_time()
    with (
        pytest.raises(ConfigError, match=r"^group: the regular expression .+ takes more than 5 s"),
        searching(pattern, "group") as search,
    ):
        search.find(["a" * 60 + "b", "ok"])
    assert time.process_time() - started < 1  # another process did the work


@pytest.mark.parametrize("pattern", ["(", "a{99999999999999999999}", "(" * 999, "a" * 1001])
def test_what_is_no_pattern(pattern):
    with pytest.raises(ConfigError, match=r"^group: "), searching(pattern, "group"):
        pass
