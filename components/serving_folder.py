"""The TF Serving folder: which versions are served, and what they say of themselves."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ENTRY, PROVENANCE = "assets.extra", "provenance.json"
"""Of a version: the folder of the model as its backend saves it, and a file in it."""


def served_versions(serving_dir: Path) -> list[int]:
    """The versions in a TF Serving folder, oldest first; unfinished copies are not counted."""
    if not serving_dir.is_dir():
        return []
    return sorted(
        int(path.name)
        for path in serving_dir.iterdir()
        if path.name.isdecimal() and (path / "saved_model.pb").exists()
    )


def champion_name(versions: Sequence[int], pretrained: Path) -> str:
    """What the champion is called: the newest version served, before any the pre-trained model."""
    return f"version {versions[-1]}" if versions else f"pre-trained {pretrained.name}"


def served_provenance(serving_dir: Path) -> dict[str, Any]:
    """The provenance of the newest version; empty when none is served that ClassLift made."""
    versions = served_versions(serving_dir)
    path = serving_dir / str(versions[-1]) / ENTRY / PROVENANCE if versions else None
    return json.loads(path.read_text()) if path and path.exists() else {}
