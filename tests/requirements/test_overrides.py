"""Each override of the ML lock is still needed: some package asks for what it overrides."""

from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.unit
FOLDER = Path(__file__).resolve().parents[2] / "requirements"


def overrides() -> list[Requirement]:
    lines = (FOLDER / "ml-overrides.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def asked_for(name: str) -> list[tuple[str, Requirement]]:
    """(package, requirement) of every installed package that asks for `name`."""
    found = []
    for distribution in metadata.distributions():
        for text in distribution.requires or ():
            requirement = Requirement(text)
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if canonicalize_name(requirement.name) == canonicalize_name(name) and applies:
                found.append((distribution.metadata["Name"], requirement))
    return found


@pytest.mark.parametrize("override", overrides(), ids=lambda r: r.name)
def test_override_is_still_needed(override):
    if override.marker is not None:  # never installed, though somebody asks for it
        with pytest.raises(metadata.PackageNotFoundError):
            metadata.version(override.name)
        needed = bool(asked_for(override.name))
    else:
        version = metadata.version(override.name)
        needed = any(version not in r.specifier for _, r in asked_for(override.name))
    assert needed, f"nothing conflicts with {override.name} any more: drop the override"
