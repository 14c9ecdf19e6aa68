"""How processes end: with the task of Airflow that started them, and cleanly on SIGTERM."""

import ctypes
import os
import signal
import sys
from typing import NoReturn

from classlift.environment import PARENT_VARIABLE

EXIT_TERMINATED = 128 + signal.SIGTERM


class Terminated(Exception):
    """SIGTERM, as an Exception: what is half done is removed on its way, and TFX's launcher records
    the failure.
    """


def raise_on_sigterm() -> None:
    """From now on the first SIGTERM raises Terminated in the main thread."""
    signal.signal(signal.SIGTERM, _on_sigterm)


def _on_sigterm(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated


def end_with_parent() -> None:
    """Asks Linux for SIGTERM when the parent dies from now on."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def die_with_parent() -> None:
    """Asks Linux for SIGTERM when the parent dies, so that no training outlives its task.

    Exits at once where the parent had died before Linux could be asked.
    """
    end_with_parent()
    parent = os.environ.get(PARENT_VARIABLE)
    if parent and parent != str(os.getppid()):
        sys.exit("classlift: the task that started this process is gone")
