"""Which room may import which: those below it in the list, and itself; `dags` none of ours."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit
ROOT = Path(__file__).resolve().parents[1]
BASE = "classlift"
"""The modules at the root of the package: errors, text, files, locks."""

ROOMS = (
    (BASE,),
    ("settings",),
    ("metrics", "pages"),
    ("data",),
    ("examples", "quality", "detectors"),
    ("serving",),
    ("training",),
    ("diagnosis", "watch"),
    ("gate",),
    ("cli",),
    ("components",),
    ("pipelines",),
    ("demo",),
)
"""From the lowest to the highest; rooms of one line do not know each other."""

LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
LIGHT = ("settings", "metrics", "data", "quality", "gate")
"""Rooms whose every module can be imported without TensorFlow and TFX."""


def room_of(module: str) -> str:
    """The room of a module, by its dotted name.

    >>> room_of("classlift.gate.rules"), room_of("classlift.errors"), room_of("pipelines.config")
    ('gate', 'classlift', 'pipelines')
    """
    if module in (f"{BASE}.__main__", f"{BASE}.api", BASE):  # the two ways in
        return "cli"
    top, _, rest = module.partition(".")
    room = rest.partition(".")[0]
    return room if top == BASE and (ROOT / BASE / room).is_dir() and room else top


def modules(folder: str) -> Iterator[tuple[str, Path]]:
    """Dotted name and file of each module below a folder."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), path


def imported(path: Path) -> set[str]:
    """What a module imports of this project, anywhere in it, but for its types alone."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    tops = {BASE, "components", "pipelines", "demo", "dags", "benchmarks", "tests"}
    return {name for name in names if name.split(".")[0] in tops}


def test_imports_run_one_way():
    wrong = []
    for folder in (BASE, "components", "pipelines", "demo"):
        for name, path in modules(folder):
            own = room_of(name)
            wrong += [
                f"{name} imports {other}"
                for other in sorted(imported(path))
                if room_of(other) != own and LEVEL.get(room_of(other), 99) >= LEVEL[own]
            ]
    assert not wrong, "\n".join(wrong)


def test_the_control_plane_imports_nothing_of_ours():
    found = [f"{path.name}: {n}" for _, path in modules("dags") for n in imported(path)]
    assert not found


def test_light_rooms_need_neither_tensorflow_nor_tfx():
    names = [name for room in LIGHT for name, _ in modules(f"{BASE}/{room}")]
    script = (
        "import importlib, sys\n"
        "for name in ('tensorflow', 'tfx', 'object_detection', 'keras_hub'):\n"
        "    sys.modules[name] = None\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
