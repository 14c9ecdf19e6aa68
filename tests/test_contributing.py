"""CONTRIBUTING.md names files and what is in them: each is there."""

import ast
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit
ROOT = Path(__file__).resolve().parents[1]
PLACES = ("classlift/", "components/", "pipelines/", "dags/", "tests/", "benchmarks/", "docs/")
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
NAMED = sorted(n for n in set(re.findall(r"`([^`\n]+)`", TEXT)) if n.startswith(PLACES))


@pytest.mark.parametrize("name", NAMED)
def test_what_is_named_is_there(name):
    path, _, symbol = name.partition(":")
    assert (ROOT / path).exists()
    if symbol:
        names = set()
        for node in ast.parse((ROOT / path).read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
        assert symbol in names


def test_every_recipe_names_a_file():
    recipes = re.findall(r"^\*\*an? (.+?)\?\*\*(.*?)(?=\n\n)", TEXT, re.MULTILINE | re.DOTALL)
    assert len(recipes) >= 8
    assert [
        title for title, text in recipes if not any(f"`{name}`" in text for name in NAMED)
    ] == []
