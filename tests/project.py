"""A project of the tests' own: the demo's config with folders that go away."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from classlift.detectors.backends import ENVIRONMENTS

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Project:
    """A config of its own, with everything that runs leave below one folder."""

    folder: Path
    config: Path

    def command(self, *words: str, **variables: str) -> subprocess.CompletedProcess:
        """Runs a module of the project with its output captured."""
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=ROOT,
            env={**clean_environment(), "CLASSLIFT_COMPILED": str(self.compiled), **variables},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )

    def demo(self, **parameters: Any) -> subprocess.CompletedProcess:
        """`make demo` on this config."""
        words = ["demo.run", "--config", str(self.config)]
        return self.command(*words, "--parameters", json.dumps(parameters))

    @property
    def compiled(self) -> Path:
        return self.folder / "compiled"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    def verdict(self) -> dict[str, Any]:
        return json.loads((self.work / "verdict.json").read_text())

    def versions(self) -> list[str]:
        served = self.folder / "served"
        return sorted(p.name for p in served.glob("[!.]*"))

    def runs(self) -> list[str]:
        return sorted(p.name for p in (self.work / "runs").glob("[!.]*"))

    def outcomes(self) -> dict[str, str]:
        """What became of each node in the latest run."""
        runs = [self.work / "runs" / name for name in self.runs()]
        latest = max(runs, key=lambda run: run.stat().st_mtime)
        records = [json.loads(path.read_text()) for path in latest.glob("*.json")]
        return {record["node"]: record["outcome"] for record in records}


def clean_environment() -> dict[str, str]:
    """This process's environment without what the tests set for their backend."""
    ours = {name for environment in ENVIRONMENTS.values() for name in environment}
    return {k: v for k, v in os.environ.items() if k not in ours}


def plain_shell() -> dict[str, str]:
    """The environment of a user who has set nothing."""
    return {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}


def make_project(folder: Path, name: str) -> Project:
    """The demo's config with its own folders."""
    document = yaml.safe_load((ROOT / "configs" / "digits.yaml").read_text())
    document |= {"name": name, "work": str(folder / "work"), "serving": str(folder / "served")}
    document["data"]["root"] = str(folder / "data")
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(document))
    return Project(folder, config)
