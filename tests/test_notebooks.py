"""The notebooks of docs/tutorials run from a plain shell, and say what their text says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit
TUTORIALS = Path(__file__).resolve().parents[1] / "docs" / "tutorials"

RUN = """
import ast, json, sys
for cell in json.load(open(sys.argv[1]))["cells"]:
    if cell["cell_type"] != "code":
        continue
    tree = ast.parse("".join(cell["source"]))
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), globals())
    value = eval(compile(ast.Expression(last.value), "cell", "eval"), globals()) if last else None
    if value is not None:
        print(repr(value))
"""


def run(notebook: str) -> list[str]:
    """The lines that the code cells print, and the values that end them, as Jupyter shows them."""
    result = subprocess.run(
        [sys.executable, "-c", RUN, notebook],
        cwd=TUTORIALS,
        env={
            **{name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ},
            "PYTHONPATH": str(TUTORIALS.parents[1]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_two_models_are_gated():
    lines = run("gate-two-models.ipynb")
    assert lines[0] == "(120, 480)"
    assert lines[1] == "push"
    assert "Class scooter is lifted" in lines[2]
    rows = [line for line in lines if line.startswith(("bike ", "car "))]
    assert [row.split()[1] for row in rows] == ["unchanged", "unchanged"]
    assert lines[lines.index("refuse") + 1].startswith("- Class car regressed")


def test_notebooks_are_kept_without_output():
    for path in TUTORIALS.glob("*.ipynb"):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        assert not any(cell.get("outputs") for cell in cells), path.name
