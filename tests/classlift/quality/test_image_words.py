"""Every rule that a reader or the look at an image states has words of its own on the page."""

import ast
import importlib
from pathlib import Path

import pytest

from classlift.quality.image_words import words_of

pytestmark = pytest.mark.unit
DATA = Path(__file__).resolve().parents[3] / "classlift" / "data"


def rules() -> dict[str, str]:
    """The first parts of texts of the form f"{RULE}: ..." in the room of the data, by name."""
    found = {}
    for path in DATA.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr) and len(node.values) > 1:
                first, second = node.values[:2]
                if isinstance(first, ast.FormattedValue) and isinstance(first.value, ast.Name):
                    name = first.value.id
                    if name.isupper() and str(getattr(second, "value", "")).startswith(": "):
                        module = ".".join(path.relative_to(DATA.parents[1]).with_suffix("").parts)
                        found[name] = getattr(importlib.import_module(module), name)
    return found


SAID_OTHERWISE = {"ROUNDED", "DROPPED", "UNLISTED", "PASSED_OVER"}
"""Those that checks of their own say, which count."""


def test_every_rule_has_words():
    found = rules()
    names = found.keys() - SAID_OTHERWISE
    assert {"ENCLOSED", "TURNED", "RENAMED"} <= names
    for name in names:
        assert found[name] not in words_of(found[name], "warning").fault(2), name


def test_one_and_several_and_what_mends_them():
    words = words_of("image can be decoded", "critical")
    assert words.fault(1) == "1 image can't be decoded"
    assert words.fault(1234) == "1,234 images can't be decoded"
    assert words.fix == "leaves out such images with their boxes"
    assert words_of("a new rule", "warning").fault(2) == "2 images: a new rule"
