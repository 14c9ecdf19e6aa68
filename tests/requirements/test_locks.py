"""What the locks promise to each other, and to whoever reads them."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit
FOLDER = Path(__file__).resolve().parents[2] / "requirements"
DOCKERFILE = FOLDER.parent / "docker" / "Dockerfile"


def pins(lock: str) -> dict[str, str]:
    """Version by package."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (FOLDER / lock).read_text(), re.MULTILINE))


def test_the_gpu_worker_runs_what_is_tested_here_and_adds_cuda_alone():
    tested, gpu = pins("ml.txt"), pins("ml-gpu.txt")
    assert tested.items() <= gpu.items()
    added = gpu.keys() - tested.keys()
    assert "nvidia-cudnn-cu12" in added
    assert all(name.startswith("nvidia-") for name in added)


def test_what_is_deployed_has_no_test_tools():
    tools = re.findall(r"^([\w-]+)", (FOLDER / "dev.in").read_text(), re.MULTILINE)
    assert {"pytest", "playwright", "mypy", "ruff"} <= set(tools)
    for lock in ("ml.txt", "ml-gpu.txt", "airflow.txt"):
        assert not {tool.lower() for tool in tools} & pins(lock).keys(), lock
    installed = re.findall(r"requirements/(\S+?)\.txt", DOCKERFILE.read_text())
    assert set(installed) == {"uv", "airflow", "${LOCK}"}
    assert re.findall(r"^ARG LOCK=(\S+)", DOCKERFILE.read_text(), re.MULTILINE) == ["ml"]


def test_tools_and_runtime_agree_where_both_need_something():
    tools, runtime = pins("dev.txt"), pins("ml.txt")
    shared = tools.keys() & runtime.keys()
    assert shared
    assert {name: tools[name] for name in shared} == {name: runtime[name] for name in shared}


def test_no_address_of_an_index_in_the_locks():
    for lock in FOLDER.glob("*.txt"):
        assert "://" not in lock.read_text(), lock
