"""A local S3 server, moto's, which `make test` installs into .tools/s3."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyarrow.fs import S3FileSystem

from tests.servers import free_port

S3 = Path(__file__).resolve().parent.parent / ".tools" / "s3"


@contextmanager
def bucket_server(log: Path) -> Iterator[dict[str, str]]:
    """Starts the server; yields the environment in which it is found, and what it asks for."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (
        log.open("w") as output,
        subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": str(S3)},
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as server,
    ):
        try:
            until = time.monotonic() + 120
            while "Running on" not in log.read_text():
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.2)
            yield {
                "AWS_ENDPOINT_URL": address,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_REGION": "us-east-1",
            }
        finally:
            server.kill()


def bucket(environment: dict[str, str]) -> S3FileSystem:
    """The server's objects, to write to."""
    return S3FileSystem(
        access_key=environment["AWS_ACCESS_KEY_ID"],
        secret_key=environment["AWS_SECRET_ACCESS_KEY"],
        region=environment["AWS_REGION"],
        endpoint_override=environment["AWS_ENDPOINT_URL"],
        allow_bucket_creation=True,
    )


def upload(system: S3FileSystem, folder: Path, place: str) -> None:
    """Copies the files below a folder to `bucket/key`."""
    for path in folder.rglob("*"):
        if path.is_file():
            with system.open_output_stream(f"{place}/{path.relative_to(folder)}") as sink:
                sink.write(path.read_bytes())
