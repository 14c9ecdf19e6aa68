"""The environment of a process: set before anything is imported that reads it."""

import os
import sys
from collections.abc import Mapping


def restart_with(environment: Mapping[str, str]) -> None:
    """Starts this process anew, as the same process with the same arguments, with variables that
    must be set before any import; returns at once where they are set.

    Some are read once, while a library is imported: protobuf's implementation, TensorFlow's Keras.
    Whatever imported one of them before would decide, so nothing is set in a running process.
    """
    if all(os.environ.get(name) == value for name, value in environment.items()):
        return
    sys.stdout.flush()
    sys.stderr.flush()
    # From a module (-m), sys.argv has a path: the words that Python was started with have all.
    words = [sys.executable, *sys.orig_argv[1:]]
    os.execve(sys.executable, words, {**os.environ, **environment})  # noqa: S606
