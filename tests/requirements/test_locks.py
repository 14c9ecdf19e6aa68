"""What the locks promise to each other, and to whoever reads them."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit
FOLDER = Path(__file__).resolve().parents[2] / "requirements"


def pins(lock: str) -> dict[str, str]:
    """Version by package."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (FOLDER / lock).read_text(), re.MULTILINE))


def test_the_gpu_worker_runs_what_is_tested_here_and_adds_cuda_alone():
    tested, gpu = pins("ml.txt"), pins("ml-gpu.txt")
    assert tested.items() <= gpu.items()
    added = gpu.keys() - tested.keys()
    assert "nvidia-cudnn-cu12" in added
    assert all(name.startswith("nvidia-") for name in added)


def test_no_address_of_an_index_in_the_locks():
    for lock in FOLDER.glob("*.txt"):
        assert "://" not in lock.read_text(), lock
