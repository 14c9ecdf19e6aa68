"""A process that Airflow starts ends when its task does, however that ends."""

import ctypes
import os
import signal
import sys

PARENT_VARIABLE = "CLASSLIFT_PARENT"
"""Id of the process that starts ours; `dags/operators.py` sets it."""


def die_with_parent() -> None:
    """Asks Linux for SIGTERM when the parent dies, so that no training outlives its task.

    Exits at once where the parent had died before Linux could be asked.
    """
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
    parent = os.environ.get(PARENT_VARIABLE)
    if parent and parent != str(os.getppid()):
        sys.exit("classlift: the task that started this process is gone")
