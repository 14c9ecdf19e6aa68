"""Airflow's home: closed to others from the first byte, an older one too; passwords in one file."""

import json
import os

import pytest

from classlift.errors import ConfigError
from pipelines.airflow import (
    BIN,
    PASSWORDS,
    airflow_environment,
    make_passwords,
    make_private,
    migrate,
    passwords_file,
)

pytestmark = pytest.mark.unit


def modes(folder):
    return {p.relative_to(folder).as_posix(): p.lstat().st_mode & 0o777 for p in folder.rglob("*")}


def test_a_home_that_is_there_is_closed_and_links_are_not_followed(tmp_path):
    home, other = tmp_path / "home", tmp_path / "other"
    (home / "logs").mkdir(parents=True, mode=0o755)
    for name in ("airflow.db", "logs/api-server.log"):
        (home / name).touch(0o644)
    (home / "run.sh").touch(0o755)
    other.touch()
    other.chmod(0o644)
    (home / "link").symlink_to(other)
    make_private(home)
    assert home.stat().st_mode & 0o777 == 0o700
    assert other.stat().st_mode & 0o777 == 0o644
    found = modes(home)
    del found["link"]
    assert found == {"logs": 0o700, "airflow.db": 0o600, "logs/api-server.log": 0o600,
                     "run.sh": 0o700}  # fmt: skip


def test_what_is_written_before_airflow_starts_is_closed_too(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.airflow._prepare", lambda *_: None)
    migrate(tmp_path / "home")
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
    assert set(modes(tmp_path / "home").values()) == {0o600}


def test_a_home_of_somebody_else_is_named(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir(mode=0o755)

    def refuse(*_, **__):
        raise PermissionError

    monkeypatch.setattr(os, "chmod", refuse)
    with pytest.raises(ConfigError, match="home is open to others and belongs to another user"):
        make_private(tmp_path / "home")


def test_passwords_are_made_in_a_closed_file_and_said_nowhere(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", "ada:admin,bob:viewer")
    before = os.umask(0)
    try:
        make_private(tmp_path / "home")
        make_passwords(tmp_path / "home")
    finally:
        os.umask(before)
    file = tmp_path / "home" / PASSWORDS
    assert file == passwords_file(tmp_path / "home")
    made = json.loads(file.read_text())
    assert made.keys() == {"ada", "bob"}
    assert all(len(password) >= 16 for password in made.values())
    assert {mode & 0o077 for mode in modes(tmp_path).values()} == {0}
    said = "".join(capfd.readouterr())
    assert not [password for password in made.values() if password in said]

    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", "ada:admin,eve:viewer")
    make_passwords(tmp_path / "home")
    assert json.loads(file.read_text()).items() >= made.items()  # who has one keeps it


def test_users_that_airflow_can_not_read_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", "ada")
    make_private(tmp_path)
    with pytest.raises(ConfigError, match="SIMPLE_AUTH_MANAGER_USERS"):
        make_passwords(tmp_path)


def test_the_users_umask_reaches_what_tasks_start(tmp_path):
    before = os.umask(0o027)
    try:
        environment = airflow_environment(tmp_path)
    finally:
        os.umask(before)
    assert environment["CLASSLIFT_UMASK"] == "27"
    assert environment["PATH"].startswith(str(BIN))
