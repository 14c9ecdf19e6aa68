"""`make secrets`: strong, private, printed nowhere, and never made anew unasked."""

import base64
import importlib.util
from pathlib import Path

import pytest

from tests.docker.compose import PLAIN

pytestmark = pytest.mark.unit
SCRIPT = Path(__file__).resolve().parents[2] / "docker" / "make_secrets.py"


@pytest.fixture
def script(monkeypatch, tmp_path):
    """The script with an `.env` of its own."""
    specification = importlib.util.spec_from_file_location("make_secrets", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    monkeypatch.setattr(module, "FILE", tmp_path / ".env")
    return module


def values(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


def test_secrets_are_strong_private_and_not_printed(script, capsys):
    assert script.main() == 0
    made = values(script.FILE)
    assert made.keys() == script.MAKERS.keys()
    assert script.FILE.stat().st_mode & 0o777 == 0o600
    assert len(base64.urlsafe_b64decode(made["FERNET_KEY"])) == 32
    assert len(made["JWT_SECRET"]) >= 64
    secrets = [value for name, value in made.items() if name not in PLAIN]
    assert len(set(secrets)) == len(secrets)
    assert all(len(secret) >= 20 and "$" not in secret for secret in secrets)
    printed = capsys.readouterr().out
    assert str(script.FILE) in printed
    assert not any(secret in printed for secret in secrets)


@pytest.mark.parametrize(
    "text",
    [
        "COMPOSE_PROFILES=gpu\nADMIN_PASSWORD=mine\nOTHER=x\n",
        "COMPOSE_PROFILES=gpu\nADMIN_PASSWORD=mine\nOTHER=x",  # no line end
        "JWT_SECRET=\nCOMPOSE_PROFILES=gpu\nADMIN_PASSWORD=mine\nOTHER=x\n",  # empty: none
    ],
)
def test_what_is_there_stays(script, text):
    script.FILE.write_text(text)
    script.FILE.chmod(0o644)
    assert script.main() == 0
    made = values(script.FILE)
    kept = {"COMPOSE_PROFILES": "gpu", "ADMIN_PASSWORD": "mine", "OTHER": "x"}
    assert kept.items() <= made.items()
    assert len(made["JWT_SECRET"]) >= 64
    assert script.FILE.stat().st_mode & 0o777 == 0o600
    before = script.FILE.read_text()
    assert script.main() == 0
    assert script.FILE.read_text() == before


def test_every_host_gets_its_own(script):
    script.main()
    first = values(script.FILE)
    script.FILE.unlink()
    script.main()
    second = values(script.FILE)
    assert {name for name in first if first[name] == second[name]} == PLAIN
