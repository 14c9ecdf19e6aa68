"""The TF Serving folder: which versions are served, and what they say of themselves."""

import json
from pathlib import Path
from typing import Any

PROVENANCE = Path("assets.extra", "provenance.json")


def served_versions(serving_dir: Path) -> list[int]:
    """The versions in a TF Serving folder, oldest first; unfinished copies are not counted."""
    if not serving_dir.is_dir():
        return []
    return sorted(
        int(path.name)
        for path in serving_dir.iterdir()
        if path.name.isdecimal() and (path / "saved_model.pb").exists()
    )


def served_provenance(serving_dir: Path) -> dict[str, Any]:
    """The provenance of the newest version; empty when none is served that ClassLift made."""
    versions = served_versions(serving_dir)
    path = serving_dir / str(versions[-1]) / PROVENANCE if versions else None
    return json.loads(path.read_text()) if path and path.exists() else {}
