"""The built wheel in an environment that has nothing else: its commands work."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import classlift

pytestmark = pytest.mark.pipeline
ROOT = Path(__file__).resolve().parents[1]
UV = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The `bin` of an environment in which the wheel is installed, as `pip install` does."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # building writes beside the sources
    for name in ("classlift", "components", "pipelines"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = ["build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable]
    subprocess.run([UV, *build, "--out-dir", folder, source], check=True)
    [wheel] = folder.glob("*.whl")
    python = folder / "venv" / "bin" / "python"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder / "venv"], check=True)
    # The versions of the lock, which this machine has fetched once already.
    words = ["--quiet", "--constraint", ROOT / "requirements" / "ml.txt", "--python", python, wheel]
    result = subprocess.run(
        [UV, "pip", "install", "--offline", *words], capture_output=True, text=True, check=False
    )
    if result.returncode:
        result = subprocess.run([UV, "pip", "install", *words], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return python.parent


def run(program: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess:
    """A command from a plain shell."""
    return subprocess.run(
        [program, *words],
        cwd=cwd,
        env={name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_its_commands_work(installed, tmp_path):
    command = installed / "classlift"
    assert run(command, "--version", cwd=tmp_path).stdout == f"classlift {classlift.__version__}\n"
    assert "validate" in run(command, "--help", cwd=tmp_path).stdout
    assert "* learning_rate: 0.002" in run(command, "settings", cwd=tmp_path).stdout
    Image.effect_noise((64, 64), 50).convert("RGB").save(tmp_path / "1.jpg")
    (tmp_path / "annotations.json").write_text(
        '{"images": [{"id": 1, "file_name": "1.jpg", "width": 64, "height": 64}],'
        '"categories": [{"id": 1, "name": "car"}],'
        '"annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 2, 30, 30]}]}'
    )
    result = run(command, "validate", "annotations.json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "1 images, 1 boxes, 0 critical findings" in result.stdout
    assert (tmp_path / "validation" / "report.html").exists()


def test_what_it_does_not_bring_is_a_sentence(installed, tmp_path):
    command = installed / "classlift"
    (tmp_path / "saved_model.pb").write_bytes(b"")
    words = ["diagnose", "--model", ".", "--data", ".", "--target", "car"]
    result = run(command, *words, cwd=tmp_path)
    assert result.returncode == 78
    assert "this needs tensorflow, which is not installed: install classlift[train]" in (
        result.stderr
    )
    assert "Traceback" not in result.stderr


def test_the_library_is_imported_with_nothing_heavy(installed, tmp_path):
    script = "import sys, classlift; print(*({'tensorflow', 'numpy', 'pandas'} & set(sys.modules)))"
    result = run(installed / "python", "-c", script, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, "\n"), result.stderr
