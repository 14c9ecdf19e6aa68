"""What a machine lacks is said in one sentence, before anything is installed."""

import importlib.util
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.unit
SCRIPT = Path(__file__).resolve().parents[2] / "requirements" / "install.py"


@pytest.fixture
def install(monkeypatch, tmp_path):
    """The script with a root of its own, in which no environment has been made."""
    specification = importlib.util.spec_from_file_location("install", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "pyproject.toml").write_text(
        '[project.scripts]\nclasslift = "classlift.cli:start"\n'
    )
    for lock in (*chain.from_iterable(module.LOCKS.values()), "uv.txt"):
        (tmp_path / "requirements" / lock).write_text("")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


def set_platform(monkeypatch, install, system="Linux", machine="x86_64", libc=("glibc", "2.36")):
    monkeypatch.setattr(install.platform, "system", lambda: system)
    monkeypatch.setattr(install.platform, "machine", lambda: machine)
    monkeypatch.setattr(install.platform, "libc_ver", lambda: libc)


@pytest.mark.parametrize(
    ("machine", "sentence"),
    [
        ({"system": "Darwin", "machine": "arm64"}, "this is Darwin on arm64"),
        ({"machine": "aarch64"}, "this is Linux on aarch64"),
        ({"libc": ("glibc", "2.17")}, "glibc 2.17 is too old"),
    ],
)
def test_a_machine_without_wheels_is_named(monkeypatch, capsys, install, machine, sentence):
    set_platform(monkeypatch, install, **machine)
    assert install.main() == 78
    assert sentence in capsys.readouterr().err


def test_a_full_disk_is_named(monkeypatch, capsys, install):
    set_platform(monkeypatch, install)
    monkeypatch.setattr(install.shutil, "disk_usage", lambda _: SimpleNamespace(free=1.5e9))
    assert install.main() == 78
    assert "1.5 GB are free here, 8 GB are needed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fails_at", "code", "sentence"),
    [
        ("venv", 78, "there is no Python 3.11 here and none could be fetched"),
        ("pip", 1, "the installation failed (see above)"),
    ],
)
def test_a_failing_uv_is_explained(
    monkeypatch, capsys, install, tmp_path, fails_at, code, sentence
):
    uv = tmp_path / "uv"
    uv.write_text(f'#!/bin/sh\n[ "$1" != {fails_at} ]\n')
    uv.chmod(0o755)
    set_platform(monkeypatch, install)
    monkeypatch.setattr(install, "find_uv", lambda: uv)
    assert install.main() == code
    assert sentence in capsys.readouterr().err
    assert not install.is_current("ml")


@pytest.fixture
def current(install, tmp_path):
    """The root with both environments, as if they had been installed."""
    for name in install.LOCKS:
        (tmp_path / ".venv" / name / "bin").mkdir(parents=True)
        stamp = install.digest(install.locks_of(name))
        (tmp_path / ".venv" / name / install.STAMP).write_text(stamp)
    command = tmp_path / ".venv" / "ml" / "bin" / "classlift"
    command.write_text("import sys\nfrom classlift.cli import start\nsys.exit(start())\n")
    return tmp_path


def test_a_command_that_starts_something_else_is_installed_anew(install, current):
    assert install.is_current("ml")
    command = current / ".venv" / "ml" / "bin" / "classlift"
    command.write_text("import sys\nfrom components.cli import start\nsys.exit(start())\n")
    assert not install.is_current("ml")
    assert install.is_current("airflow")
    command.unlink()  # of an environment that was made before there was one
    assert not install.is_current("ml")


@pytest.mark.parametrize("changed", ["ml.txt", "dev.txt"])
def test_current_environments_are_left_alone(monkeypatch, install, current, changed):
    monkeypatch.setattr(install, "find_uv", lambda: pytest.fail("nothing was to be installed"))
    assert install.main() == 0
    (current / "requirements" / changed).write_text("changed")
    assert not install.is_current("ml")
    assert install.is_current("airflow")
