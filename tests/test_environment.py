"""The environment variables: named in one place, known to the control plane, on their page."""

import re
from pathlib import Path

import pytest

from classlift.environment import VARIABLES, reference

pytestmark = pytest.mark.unit
ROOT = Path(__file__).resolve().parents[1]
NAMES = {variable.name for variable in VARIABLES}


def named_in(*folders: str) -> set[str]:
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert files
    text = "\n".join(path.read_text("utf-8") for path in files)
    return set(re.findall(r"\bCLASSLIFT_[A-Z_]*[A-Z]\b", text))


def test_no_other_module_names_a_variable():
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for folder in ("classlift", "components", "pipelines", "demo")
        for path in (ROOT / folder).rglob("*.py")
        if path != ROOT / "classlift" / "environment.py"
        for name in re.findall(r'"(CLASSLIFT_[A-Z_]+)"', path.read_text("utf-8"))
    ]
    assert not found


def test_the_control_plane_knows_no_others():
    assert named_in("dags") <= NAMES


def test_the_page_is_current():
    page = ROOT / "docs" / "reference" / "environment.md"
    assert page.read_text("utf-8") == reference(), "make reference"
