"""The environment of a process: the variables that ClassLift reads, and how a process gets its own.

Each variable has its name and its meaning here alone; docs/reference/environment.md is made of the
table. `dags` imports nothing of ClassLift and names those that it hands on itself; a test says that
it knows no others.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

COMPILED_VARIABLE = "CLASSLIFT_COMPILED"
METADATA_VARIABLE = "CLASSLIFT_METADATA"
ML_PYTHON_VARIABLE = "CLASSLIFT_ML_PYTHON"
VERBOSE_VARIABLE = "CLASSLIFT_VERBOSE"
USER_VARIABLE, PASSWORD_VARIABLE = "CLASSLIFT_AIRFLOW_USER", "CLASSLIFT_AIRFLOW_PASSWORD"
TENSORBOARD_VARIABLE = "CLASSLIFT_TENSORBOARD"
RUN_VARIABLE = "CLASSLIFT_RUN_ID"
PARAMETERS_VARIABLE = "CLASSLIFT_PARAMETERS"
APPROVAL_VARIABLE = "CLASSLIFT_APPROVAL"
HOLDER_VARIABLE = "CLASSLIFT_HOLDER"
PROGRESS_VARIABLE = "CLASSLIFT_PROGRESS"
CURVES_VARIABLE = "CLASSLIFT_CURVES"
PARENT_VARIABLE = "CLASSLIFT_PARENT"
UMASK_VARIABLE = "CLASSLIFT_UMASK"
NO_COLOUR_VARIABLE = "NO_COLOR"


@dataclass(frozen=True)
class Variable:
    """An environment variable of ClassLift.

    Attributes:
        about: what it says, in Markdown.
        own: whether ClassLift sets it itself, for processes that it starts; the others are for
            users.

    """

    name: str
    about: str
    own: bool = False


VARIABLES = (
    Variable(COMPILED_VARIABLE, "Folder of the compiled pipelines; by default `build/compiled`."),
    Variable(
        METADATA_VARIABLE,
        "Database of ML Metadata, `postgresql://USER@HOST:PORT/DATABASE` without a password, which "
        "`PGPASSWORD` or `~/.pgpass` holds; by default each config has SQLite in its `work`.",
    ),
    Variable(
        ML_PYTHON_VARIABLE,
        "Python of the ML runtime, which Airflow's tasks start; by default `.venv/ml/bin/python`.",
    ),
    Variable(VERBOSE_VARIABLE, "Not empty: nodes show all logs of TensorFlow and TFX."),
    Variable(
        USER_VARIABLE,
        "User of Airflow in whose name `classlift data-arrived` speaks; by default `admin`.",
    ),
    Variable(
        PASSWORD_VARIABLE,
        "That user's password; by default the one that `make airflow` made on this machine.",
    ),
    Variable(
        TENSORBOARD_VARIABLE,
        "Address of a TensorBoard, such as `http://localhost:6006`, that Airflow's page of a "
        "training links to.",
    ),
    Variable(NO_COLOUR_VARIABLE, "Not empty: no colours at a terminal (https://no-color.org)."),
    Variable(RUN_VARIABLE, "Names the run in its nodes' processes.", own=True),
    Variable(PARAMETERS_VARIABLE, "JSON object of the run's parameters.", own=True),
    Variable(APPROVAL_VARIABLE, "JSON object: who approved of a push, and why.", own=True),
    Variable(HOLDER_VARIABLE, "Names whoever holds the lock of a run.", own=True),
    Variable(
        PROGRESS_VARIABLE, "File that nodes add their lines of progress to, as they log.", own=True
    ),
    Variable(CURVES_VARIABLE, "File that gets the curves of the run's training.", own=True),
    Variable(PARENT_VARIABLE, "Id of the process with which a process ends.", own=True),
    Variable(UMASK_VARIABLE, "The umask of whoever started Airflow, in octal.", own=True),
)

UNICODE = {"PYTHONUTF8": "1"}
"""All text is UTF-8, whatever the locale: names in labels are Unicode."""

QUIET = "TF_CPP_MIN_LOG_LEVEL"
"""TensorFlow's own variable, read while it is imported."""


def quiet_tensorflow() -> None:
    """Lets TensorFlow, which is not imported yet, say errors alone, unless the user asks for more.

    3: of info, warnings and errors only what is fatal.
    """
    os.environ.setdefault(QUIET, "3")


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


def reference() -> str:
    """The page of all variables, in Markdown."""
    lines = [
        "# Which environment variables does ClassLift read?",
        "",
        "This page is made from `classlift/environment.py` by `make reference`.",
    ]
    for own, title in (
        (False, "For you to set"),
        (True, "Set by ClassLift for the processes that it starts"),
    ):
        lines += ["", f"## {title}", "", "| variable | what it says |", "|---|---|"]
        lines += [f"| `{v.name}` | {v.about} |" for v in VARIABLES if v.own == own]
    return "\n".join(lines) + "\n"
