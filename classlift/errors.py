"""The errors of ClassLift: each is a sentence for the user, and each maps to one exit code.

A sentence says what was wrong, where (file, record, class) and what to do about it.
"""

import errno

from classlift.text import printable, shorten

EXIT_OK = 0
EXIT_RETRY = 1
EXIT_PERMANENT = 78  # EX_CONFIG of BSD's sysexits.h: a retry can't mend it
EXIT_NOTHING_TO_DO = 99  # Airflow's default skip_on_exit_code
EXIT_CLOSED_PIPE = 141  # 128 + SIGPIPE, as of every program whose reader has gone


DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says when a disk, a quota or a file system takes no more."""


class ClassLiftError(Exception):
    """Base of all errors that are the user's to mend; a retry can't.

    Its text is one line of bounded length, whatever names it holds.
    """

    exit_code = EXIT_PERMANENT

    def __str__(self) -> str:
        return shorten(printable(super().__str__()))


class ConfigError(ClassLiftError):
    """A config file or a run parameter is wrong."""


class DataError(ClassLiftError):
    """The labelled data are wrong: names file, record and rule."""


class ModelError(ClassLiftError):
    """A model on disk is missing, incomplete, or does not fit the data."""


class EvaluationError(ClassLiftError):
    """The evidence of the gate is missing or corrupted: never a push."""


class UnavailableError(ClassLiftError):
    """What is needed can't be had right now, and may be later: worth a retry."""

    exit_code = EXIT_RETRY


class PipelineError(ClassLiftError):
    """A node was started where it must not run."""
