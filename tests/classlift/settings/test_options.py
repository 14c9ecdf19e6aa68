"""The options of commands that are settings: their type and range are the setting's."""

import argparse

import pytest

from classlift.cli.command import setting_argument
from classlift.settings.config import Retention
from classlift.settings.recipe import Recipe

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("group", "words", "sentence"),
    [
        (Retention, ["--days", "-1"], "--days: it must be a whole number, 0 to 36,500"),
        (Retention, ["--days", "99999999999"], "--days: it must be a whole number, 0 to 36,500"),
        (Retention, ["--days", "1.5"], "--days: it must be a whole number, 0 to 36,500"),
        (Retention, ["--versions", "1"], "--versions: it must be a whole number, 2 or more"),
        (Recipe, ["--learning_rate", "2"], "it must be a number, above 0, at most 1"),
        (Recipe, ["--learning_rate", "nan"], "it must be a number, above 0, at most 1"),
    ],
)
def test_an_option_out_of_range_is_refused(group, words, sentence, capsys):
    parser = argparse.ArgumentParser()
    setting_argument(parser, group, words[0][2:], "help")
    with pytest.raises(SystemExit) as end:
        parser.parse_args(words)
    assert end.value.code == 2
    assert sentence in capsys.readouterr().err


def test_an_option_in_range_has_the_settings_type():
    parser = argparse.ArgumentParser()
    setting_argument(parser, Retention, "runs", "help")
    setting_argument(parser, Recipe, "learning_rate", "help", default=0.5)
    assert vars(parser.parse_args(["--runs", "3"])) == {"runs": 3, "learning_rate": 0.5}
