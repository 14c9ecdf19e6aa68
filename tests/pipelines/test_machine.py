"""What `classlift doctor` says of a machine, and of the paths of a config."""

import json
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from classlift import cli
from classlift.data.snapshot import Source
from classlift.errors import EXIT_PERMANENT, ConfigError
from pipelines import machine
from pipelines.config import load_config
from pipelines.run_values import require_gpu
from tests.project import ROOT

pytestmark = pytest.mark.unit


@pytest.fixture
def tools(tmp_path, monkeypatch) -> Path:
    """A folder of programs, the only one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def found(port: int = 0) -> dict[str, machine.Check]:
    return {check.name: check for check in machine.look(port)}


def test_what_the_machine_has_is_said(tools):
    checks = found()
    assert "tensorflow 2." in checks["versions"].found
    assert "Airflow 3." in checks["versions"].found
    assert checks["GPU"].found.startswith("none")
    assert checks["memory"].found.endswith(" GB")
    assert checks["free disk"].advice is None


def test_gpus_are_those_of_the_driver(tools):
    program = tools / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H100, 81559 MiB, 570.86'\n")
    program.chmod(0o755)
    assert found()["GPU"].found == "NVIDIA H100, 81559 MiB, 570.86"
    program.write_text("#!/bin/sh\necho 'no devices'; exit 9\n")
    assert found()["GPU"].found.startswith("none")


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_taken_port_is_said_and_no_fault(taken):
    check = found(taken)[f"port {taken}"]
    assert (check.found.startswith("taken"), check.advice) == (True, None)


def test_airflow_does_not_start_where_its_port_is_taken_or_none(taken, monkeypatch, capsys):
    monkeypatch.setenv("AIRFLOW__API__PORT", str(taken))
    monkeypatch.setattr(sys, "argv", ["classlift", "airflow"])
    assert cli.main() == EXIT_PERMANENT
    said = capsys.readouterr().err
    assert f"Port {taken} of this machine is taken" in said
    assert f"AIRFLOW__API__PORT={taken + 1} classlift airflow" in said
    for wrong in ("http", "0", "65536", "-1", "8080 "):
        monkeypatch.setenv("AIRFLOW__API__PORT", wrong)
        for command in ("airflow", "doctor"):
            monkeypatch.setattr(sys, "argv", ["classlift", command])
            assert cli.main() == EXIT_PERMANENT
            assert f"AIRFLOW__API__PORT is {wrong!r}, and must be a port" in capsys.readouterr().err


def test_little_disk_and_memory_are_named(monkeypatch):
    monkeypatch.setattr(machine, "LEAST_GB", 1e6)
    monkeypatch.setattr(machine, "LEAST_MEMORY_GB", 1e6)
    missing = {name for name, check in found().items() if check.advice}
    assert missing == {"memory", "free disk"}


def test_paths_of_a_config_that_are_not_there_or_closed_are_named(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    (tmp_path / "a.json").touch()
    sources = (Source(tmp_path / "a.json", "train"), Source(tmp_path / "b.json", "test"))
    config = load_config(ROOT / "configs" / "digits.yaml")
    config = replace(config, sources=sources, work=closed / "work", serving=tmp_path / "served")
    advice = {check.name: check.advice for check in machine.look_at(config)}
    assert advice["data of train"] is None
    assert advice["data of test"].startswith("it is not there; mend data.root")
    assert advice[f"serving {config.serving}"] is None
    if os.geteuid():  # root may write anywhere
        assert "may not write" in advice[f"work {config.work}"]


def test_a_gpu_that_is_asked_for_and_missing_is_named(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    config = load_config(ROOT / "configs" / "digits.yaml")
    checks = {}
    for device in ("gpu", "auto"):
        asking = replace(config, defaults={**config.defaults, "device": device})
        checks[device] = {check.name: check for check in machine.look_at(asking)}
    missing = checks["gpu"]["device gpu"]
    assert missing.found == "0 GPUs"
    assert "set `device` to auto" in missing.advice
    assert "device gpu" not in checks["auto"]


def test_a_run_that_asks_for_a_missing_gpu_begins_nothing(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(ConfigError, match="`device` is gpu, and this machine shows no GPU"):
        require_gpu({"device": "gpu", "recalibrate": False})
    require_gpu({"device": "gpu", "recalibrate": True})  # which trains nothing
    require_gpu({"device": "auto"})


def test_the_command_prints_json(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["classlift", "doctor", "--json"])
    code = cli.main()
    checks = json.loads(capsys.readouterr().out)
    assert {"versions", "GPU", "memory"} <= {check["name"] for check in checks}
    assert code == (78 if any(check["advice"] for check in checks) else 0)
