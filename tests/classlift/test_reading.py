"""Files that people bring are read within bounds, whatever lies there."""

import os
import time

import pytest

from classlift.errors import ConfigError, DataError
from classlift.reading import KILO, MEGA, parse_json, read_bytes, read_json, read_yaml

pytestmark = pytest.mark.unit

BOMB = (
    "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "names: [*i, y]\n"
)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (os.mkfifo, "must be a regular file, and this is a pipe"),
        (lambda path: path.symlink_to("/dev/zero"), "must be a regular file, and this is a pipe"),
        (lambda path: path.mkdir(), "must be a regular file, and this is a folder"),
        (lambda path: path.symlink_to(path.name), "can't be read (Too many levels of symbolic"),
        (lambda path: None, "can't be read (No such file or directory)"),
        (lambda path: path.write_bytes(b"a" * 1001), "the file is larger than 1 kB"),
    ],
)
def test_only_regular_files_of_bounded_size(tmp_path, make, words):
    path = tmp_path / "labels"
    make(path)
    with pytest.raises(DataError, match=r"^.+/labels: .+") as error:
        read_bytes(path, "the labels", KILO)
    assert words in str(error.value)


def test_a_sparse_file_takes_no_memory(tmp_path):
    path = tmp_path / "labels"
    with path.open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(DataError, match="larger than"):
        read_bytes(path, "the labels", MEGA)


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b"])
def test_names_that_no_file_can_have(tmp_path, name):
    with pytest.raises(ConfigError, match=r"the config can't be read"):
        read_bytes(tmp_path / name, "the config", KILO, ConfigError)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "its aliases stand for more than 1,000,000 values"),
        ("a: &x [*x]", "stands for what it is in"),
        ("names: " + "[" * 5000 + "]" * 5000, "nested more than 64 deep"),
        ("- " * 5000, "nested more than 64 deep"),
        ("a: 2024-13-45", "month must be in 1..12"),
        ("a: " + "9" * 5000, "Exceeds the limit (4300 digits)"),
        ("a: !!int ''", "the tag tag:yaml.org,2002:int on line 1 is not read"),
        ("a: !!python/object/apply:os.system ['x']", "is not read"),
        ('a: "\\uD800"', "invalid Unicode character"),
        ("a: 1\na: 2", "the key 'a' stands twice"),
        ("? [1]\n: 2", "unhashable key"),
        ("a: b: c", "mapping values are not allowed"),
        ("\0", "control characters"),
    ],
)
def test_yaml_that_is_refused_at_once(tmp_path, text, words):
    path = tmp_path / "data.yaml"
    path.write_text(text)
    started = time.process_time()
    with pytest.raises(DataError, match=r"not valid YAML") as error:
        read_yaml(path, "the names", MEGA)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert time.process_time() - started < 5


def test_yaml_that_is_read(tmp_path):
    path = tmp_path / "data.yaml"
    path.write_text("\ufeffa: &x {b: 1}\nc: {<<: *x, d: 2}\ne: !!str 8\nf: [no, 2024-01-01, 010]")
    assert read_yaml(path, "the config", MEGA)["c"] == {"b": 1, "d": 2}
    assert read_yaml(path, "the config", MEGA)["e"] == "8"
    names = read_yaml(path, "the names", MEGA, typed=False)["f"]
    assert names == ["no", "2024-01-01", "010"]  # as they are written


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' stands twice in one object"),
        ('["\\ud800"]', r"'\ud800' is half a character"),
        ('["\\ud83d"]', r"'\ud83d' is half a character"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5000, "Exceeds the limit (4300 digits)"),
        ('{"a":', "Expecting value"),
        ("", "Expecting value"),
    ],
)
def test_json_that_is_refused(text, words):
    with pytest.raises(DataError) as error:
        parse_json(text, "labels.json")
    assert words in str(error.value)


def test_json_that_is_read(tmp_path):
    path = tmp_path / "labels.json"
    path.write_text('\ufeff{"a": "\\ud83d\\ude00", "b": [1, NaN]}')
    assert read_json(path, "the labels", MEGA)["a"] == "\U0001f600"
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(DataError, match=r"not a text file in UTF-8 \(byte 8\)"):
        read_json(path, "the labels", MEGA)
