"""Names of users reach a person, and no terminal."""

import logging

import pytest

from classlift.errors import DataError
from classlift.progress import configure_node
from classlift.text import shown

pytestmark = pytest.mark.unit
NASTY = "a\x1b[31m\r\nb\x9b2J\u202e\ud800"


def test_errors_and_progress_are_one_printable_line(capsys):
    error = DataError(f"{NASTY}: {'x' * 10_000} is wrong.")
    configure_node("Trainer")
    logger = logging.getLogger("classlift")
    logger.info(str(error))
    logger.info(f"reading {NASTY}")
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 2
    assert all(line.isprintable() for line in out.splitlines())
    assert r"a\x1b[31m\r\nb\x9b2J\u202e\ud800" in out
    assert len(str(error)) == 2000
    assert str(error).endswith(" is wrong.")


@pytest.mark.parametrize(
    "name", ["car ", " car", "", "a  b", "a\tb", "fire\u00a0truck", "a\u200db"]
)
def test_quotes_where_blanks_matter(name):
    assert shown(name) == repr(name)


@pytest.mark.parametrize("name", ["car", "traffic light", "8", "caf\u00e9", "it's"])
def test_plain_names_stay_as_they_are(name):
    assert shown(name) == name
