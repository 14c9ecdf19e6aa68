"""What a machine has and lacks for ClassLift, and for one config, as `classlift doctor` says."""

import importlib.util
import os
import platform
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from classlift import __version__, gpus
from classlift.errors import ConfigError
from pipelines.config import Config

ROOT = Path(__file__).resolve().parent.parent
LEAST_GB = 1.0
"""Of free disk, below which a run would soon stop."""

LEAST_MEMORY_GB = 4.0
"""Of memory; the demo takes 3.3 GB."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what it is.
        found: what is there, in words.
        advice: what to do; None where nothing is missing.

    """

    name: str
    found: str
    advice: str | None = None


def look(port: int) -> Iterator[Check]:
    """Looks at this machine.

    Args:
        port: of Airflow's server.

    Yields:
        What was found.

    Raises:
        ConfigError: the checkout is not whole.

    """
    yield Check("versions", ", ".join(_versions()))
    yield from _environments()
    yield Check("GPU", _gpus() or "none; training and prediction take the CPU")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    short = f"less than {LEAST_MEMORY_GB:.0f} GB, and the demo takes 3.3: add memory or swap"
    yield Check("memory", f"{memory:.1f} GB", short if memory < LEAST_MEMORY_GB else None)
    yield _disk("free disk", ROOT)
    yield Check(f"port {port}", _port(port))


def look_at(config: Config) -> Iterator[Check]:
    """Looks at the paths of a config, whose model was found when it was loaded."""
    yield Check("model", str(config.model))
    if config.defaults["device"] == "gpu":
        found = gpus.count()
        yield Check("device gpu", f"{found} GPUs", None if found else gpus.ADVICE)
    for source in config.sources:
        for name, path in (("data", source.path), ("images", source.images)):
            if path is not None and config.mirror.holds(path):
                yield Check(f"{name} of {source.split}", config.mirror.address(path))
            elif path is not None:
                there = os.path.exists(path)
                advice = f"it is not there; mend data.root or this source in {config.path}"
                yield Check(f"{name} of {source.split}", str(path), None if there else advice)
    folders = {"work": config.work, "serving": config.serving}
    if config.mirror.holds(config.serving):
        yield Check("serving", config.mirror.address(folders.pop("serving")))
    for name, folder in folders.items():
        above = next(p for p in (folder, *folder.parents) if p.exists())
        if os.access(above, os.W_OK):
            yield _disk(f"{name} {folder}", above)
        else:
            advice = f"{above}: this user may not write there; change its mode, or {name}"
            yield Check(f"{name} {folder}", "closed", advice)


def _versions() -> Iterator[str]:
    yield f"ClassLift {__version__}"
    yield f"Python {platform.python_version()}"
    for package in ("tfx", "tensorflow", "keras-hub"):
        try:
            yield f"{package} {metadata.version(package)}"
        except metadata.PackageNotFoundError:
            yield f"no {package}"
    found = (ROOT / ".venv" / "airflow").glob("lib/*/site-packages/apache_airflow-*.dist-info")
    for folder in found:
        yield f"Airflow {re.sub(r'^apache_airflow-|[.]dist-info$', '', folder.name)}"


def _environments() -> Iterator[Check]:
    path = ROOT / "requirements" / "install.py"
    specification = importlib.util.spec_from_file_location("install", path)
    if specification is None or specification.loader is None:
        raise ConfigError(f"{path} is missing.")
    install = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(install)
    for name in install.LOCKS:
        is_current = install.is_current(name)
        yield Check(
            f"environment {name}",
            "as its lock says" if is_current else "not as its lock says",
            None if is_current else "run `make environments`",
        )


def _gpus() -> str | None:
    """The GPUs in words, by NVIDIA's own tool; None where it or a GPU is missing."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    query = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        result = subprocess.run(
            [tool, *query], capture_output=True, text=True, check=False, timeout=20
        )
    except subprocess.TimeoutExpired:
        return None
    lines = result.stdout.split("\n") if result.returncode == 0 else []
    return "; ".join(line.strip() for line in lines if line.strip()) or None


def _disk(name: str, folder: Path) -> Check:
    free = shutil.disk_usage(folder).free / 1e9
    short = f"less than {LEAST_GB:.0f} GB is free; make room"
    return Check(name, f"{free:.1f} GB free", short if free < LEAST_GB else None)


def _port(port: int) -> str:
    """Whether Airflow's server may take a port; taken is no fault, for it may be Airflow's."""
    if is_free(port):
        return "free for Airflow's server"
    return "taken, by Airflow's server or another; AIRFLOW__API__PORT names another port"


def is_free(port: int) -> bool:
    """Whether a server may listen on a port of this machine's own address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
