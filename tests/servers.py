"""Real servers for the tests, from Debian's packages; tests skip where theirs is not installed."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


def program(name: str) -> str:
    """Path of a server's program; skips the test without it."""
    postgres = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    found = shutil.which(name, path=os.pathsep.join([*postgres, os.environ["PATH"]]))
    return found or pytest.skip(f"{name} is not installed")


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass(frozen=True)
class Postgres:
    """A running server, whose one user must show a password."""

    port: int
    user: str
    password: str

    def new_database(self) -> str:
        """Makes an empty database; returns its address, without the password."""
        name = f"test_{secrets.token_hex(8)}"
        self.run("createdb", name)
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/{name}"

    def run(self, name: str, *words: str) -> str:
        """Runs a client; returns what it says."""
        login = ["--host=127.0.0.1", f"--port={self.port}", f"--username={self.user}"]
        environment = {**os.environ, "PGPASSWORD": self.password}
        command = [program(name), *login, *words]
        return subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True
        ).stdout


@contextmanager
def start_postgres(user: str, password: str) -> Iterator[Postgres]:
    """A server with a fresh cluster, which is gone afterwards."""
    initdb, pg_ctl = program("initdb"), program("pg_ctl")
    owner = "nobody" if os.geteuid() == 0 else None  # Postgres refuses to run as root
    server = Postgres(free_port(), user, password)
    with tempfile.TemporaryDirectory(prefix="postgres") as folder:
        file = Path(folder, "password")
        file.write_text(password)
        if owner:
            shutil.chown(folder, owner)
            shutil.chown(file, owner)

        def run(*command: str) -> None:
            subprocess.run(command, user=owner, cwd=folder, check=True, stdout=subprocess.DEVNULL)

        data, log = f"{folder}/data", f"{folder}/log"
        run(initdb, "-D", data, "-U", user, f"--pwfile={file}", "--auth=scram-sha-256")
        options = f"-c listen_addresses=127.0.0.1 -p {server.port} -k {folder} -c fsync=off"
        run(pg_ctl, "-D", data, "-l", log, "-o", options, "--wait", "start")
        try:
            yield server
        finally:
            run(pg_ctl, "-D", data, "--mode=immediate", "stop")
