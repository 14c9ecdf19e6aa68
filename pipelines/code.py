"""The code that a module can read: a node's cache is keyed by that, and by no other.

It is told from import statements, wherever in a module they stand, so that none can be forgotten:
the module, what it imports, and what that imports. So are modules that are named in a string, as
`classlift.serving.check`; files beside a module that are named in one, as `probe.py` or a template;
and the templates that all share, which lie beside the package that fills them.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("classlift", "components")
"""The packages whose code nodes run."""

DATA_SUFFIXES = (".j2", ".pbtxt")
"""The endings of files of our packages that are no Python and are read at run time."""


def code_version(module: str) -> str:
    """A hash of all that a module can read: 16 digits, in hex."""
    return hash_files(sorted(files_of(module)), ROOT)


def hash_files(paths: Iterable[Path], root: Path) -> str:
    """SHA-256 over the names, relative to `root`, and the content of files; 16 digits."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def all_files() -> list[Path]:
    """All files of our packages that any node can read."""
    suffixes = {".py", *DATA_SUFFIXES}
    found = [path for package in PACKAGES for path in (ROOT / package).rglob("*")]
    return sorted(path for path in found if path.suffix in suffixes)


def component_modules() -> list[str]:
    """The dotted names of the modules that hold a component."""
    return sorted(f"components.{path.stem}" for path in (ROOT / "components").glob("[!_]*.py"))


def files_of(module: str) -> set[Path]:
    """The files of a module and of all that it can import: Python, templates, label maps.

    The packages that a module lies in are among them, but not what these import for their users.

    Args:
        module: its dotted name.

    Returns:
        The files.

    """
    found: set[Path] = set()
    left = {file for file in [_file(module)] if file}
    while left:
        path = left.pop()
        found.add(path)
        left |= _read_by(path) - found
    packages = {folder for path in found for folder in path.parents if ROOT in folder.parents}
    return found | {folder / "__init__.py" for folder in packages}


@cache
def _read_by(path: Path) -> frozenset[Path]:
    """The files that a module names in its imports, or in strings; none for what is no Python."""
    if path.suffix != ".py":
        return frozenset()
    found = set()
    if path.name == "__init__.py":
        found |= {file for file in path.parent.iterdir() if file.suffix in DATA_SUFFIXES}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        found |= {file for name in _names(node) if (file := _file(name))}
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value
            if name.endswith((".py", *DATA_SUFFIXES)) and path.with_name(name).is_file():
                found.add(path.with_name(name))
    return frozenset(found)


def _names(node: ast.AST) -> Iterator[str]:
    """The dotted names in a node that may be modules of ours."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        for alias in node.names:
            whole = f"{node.module}.{alias.name}"
            yield whole if _file(whole) else node.module
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value:
        yield node.value


@cache
def _file(module: str) -> Path | None:
    """The file of a module of ours; None for any other name."""
    first, *rest = module.split(".")
    if first not in PACKAGES or not all(part.isidentifier() for part in rest):
        return None
    path = ROOT.joinpath(first, *rest)
    files = (path.with_name(f"{path.name}.py"), path / "__init__.py")
    return next((file for file in files if file.is_file()), None)
