"""Which configs are compiled, and what their DAGs need to know of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from operators import ROOT

COMPILED = Path(os.environ.get("CLASSLIFT_COMPILED", ROOT / "build" / "compiled"))


def compiled_folders() -> list[Path]:
    """The folders of the compiled configs, by name; not of those that `classlift run` tried."""
    found = sorted(path.parent for path in COMPILED.glob("*/topology.json"))
    return [folder for folder in found if _read(folder).get("in_airflow", True)]


def read_topologies() -> list[dict[str, Any]]:
    """The topologies of the compiled configs, by name."""
    return [_read(folder) for folder in compiled_folders()]


def _read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "topology.json").read_text())
