"""Docker Compose on docker-compose.yml, without any engine."""

import json
import os
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / ".tools" / "compose" / "compose" / "docker-compose"
PLAIN = {"COMPOSE_PROFILES", "WORKER_MEMORY"}
"""What `.env` holds beside the secrets."""

MAKERS = runpy.run_path(str(ROOT / "docker" / "make_secrets.py"))["MAKERS"]


def compose(folder: Path, values: dict[str, str], *words: str) -> subprocess.CompletedProcess:
    """Runs Compose on a copy of the file, beside an `.env` with these values."""
    shutil.copy(ROOT / "docker-compose.yml", folder)
    (folder / ".env").write_text("".join(f"{k}={v}\n" for k, v in values.items()))
    return subprocess.run(
        [COMPOSE, *words],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def all_services(folder: Path, values: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The services of both profiles by name, with everything filled in."""
    words = ["--profile", "cpu", "--profile", "gpu", "config", "--format", "json"]
    result = compose(folder, values, *words)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["services"]
