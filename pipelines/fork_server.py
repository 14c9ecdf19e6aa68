"""Starts the nodes of a local run as copies of one process that has imported what they share.

    runner --socket--> fork server --fork--> node

A process a node keeps what TensorFlow, TFX and Keras leave behind in a process from the next node;
a copy does so, too, and does not import them anew.
"""

import argparse
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn, Self

from classlift.errors import EXIT_RETRY
from classlift.parent import end_with_parent
from pipelines import imports, nodes, run_node
from pipelines.topology import Topology

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 4096
"""Bytes of a message."""


class ForkServer:
    """The runner's end: starts one node after the other."""

    def __init__(self, compiled: Path, run_id: str, environment: Mapping[str, str]) -> None:
        """Starts the server.

        Args:
            compiled: the folder of the compiled config.
            run_id: of the run whose nodes it will start.
            environment: of the nodes.

        """
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "pipelines.fork_server", "--compiled", str(compiled)]
        with theirs:
            self._process = subprocess.Popen(
                [*command, "--run-id", run_id, "--socket", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
                env=dict(environment),
                pass_fds=[theirs.fileno()],
            )

    @property
    def pid(self) -> int:
        """Of the server's process."""
        return self._process.pid

    def __enter__(self) -> Self:
        """Returns the runner's end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Waits for the server, which ends once its node has."""
        self._socket.close()
        self._process.wait()

    @contextmanager
    def node(self, name: str, libraries: Iterable[str]) -> Iterator[IO[str]]:
        """Starts a node.

        Args:
            name: its id.
            libraries: what is imported before, for this node and later ones.

        Yields:
            What it writes, to its end.

        """
        reading, writing = os.pipe()
        request = json.dumps([name, *libraries]).encode()
        try:
            socket.send_fds(self._socket, [request], [writing])
        finally:
            os.close(writing)
        with open(reading, errors="replace") as output:
            yield output

    def exit_code(self) -> int:
        """The exit code of the node that was started last, minus the signal that killed it."""
        answer = self._socket.recv(LONGEST)
        return int(answer) if answer else self._process.wait() or EXIT_RETRY


def main() -> None:
    """The server: starts what it is asked for until the runner is gone."""
    parser = argparse.ArgumentParser(description="Start nodes of one run as copies.")
    parser.add_argument("--compiled", type=Path, required=True)
    parser.add_argument("--run-id", required=True)
    parser.add_argument("--socket", type=int, required=True, help="an open file's number")
    arguments = parser.parse_args()
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the node, and the runner
    gc.disable()
    imports.prepare(nodes.DETECTOR, Topology.read(arguments.compiled).backend)
    importlib.import_module("pipelines.launch")
    with socket.socket(fileno=arguments.socket) as runner:
        while True:
            request, files, *_ = socket.recv_fds(runner, LONGEST, 1)
            if not request:
                return
            name, *libraries = json.loads(request)
            started = time.monotonic()
            with _writing_to(files[0]):
                for library in libraries:
                    imports.import_heavy(library)
                gc.freeze()  # no copy looks through what was imported for garbage
                child = os.fork()
                if not child:
                    runner.close()
                    _become(arguments.compiled, name, arguments.run_id, started)
            _, status = os.waitpid(child, 0)
            runner.send(str(os.waitstatus_to_exitcode(status)).encode())


@contextmanager
def _writing_to(file: int) -> Iterator[None]:
    """What is written in the block, by this process and its copies, goes to a file; the rest goes
    nowhere from then on.
    """
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)
    try:
        yield
    finally:
        with open(os.devnull, "wb") as nowhere:
            for stream in (1, 2):
                os.dup2(nowhere.fileno(), stream)


def _become(compiled: Path, node: str, run_id: str, started: float) -> NoReturn:
    """Is the node from now on, in a copy of this process, and ends with it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.enable()
    # The server's own know of the file that they were opened on: whether one can seek in it.
    sys.stdout, sys.stderr = (os.fdopen(n, "w", 1, closefd=False) for n in (1, 2))
    code = EXIT_RETRY
    try:
        code = run_node.run(compiled, node, run_id, started)
    except BaseException:  # the border of the process
        traceback.print_exc()
    finally:
        run_node.end(code)


if __name__ == "__main__":
    main()
