"""What a process of TFX does not import for nothing.

Imports are the price of a process a node. TFX's own modules do without TensorFlow and Beam where
they can't be imported, and each process imports them when its work needs them.
"""

import importlib
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from types import ModuleType
from typing import Any

from classlift.detectors.backends import ENVIRONMENTS
from classlift.environment import VERBOSE_VARIABLE
from pipelines import nodes

OURS = "components"

HEAVY = ("tensorflow", "apache_beam")
WITHOUT_KERAS = {"TF_USE_LEGACY_KERAS": "1"}
"""Keeps TensorFlow from importing Keras 3, which no node but a detector's needs."""

NOTEBOOK = "IPython"
"""Beam and TFDV import it where it is installed; a node shows nothing in a notebook."""

COMPLAINS = "tensorflow_model_analysis"
"""TFX's components import it for its names; it writes to stderr that it found no Beam."""

UNUSED_BY_SCHEMAS = (
    "tensorflow_data_validation",
    "tfx.components.statistics_gen.stats_artifact_utils",
)
"""What TFX's executor for a curated schema imports, for seconds, and never uses."""


class Late(ModuleType):
    """Stands for a module that is imported when something of it is first used."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def quiet_tensorflow() -> None:
    """TensorFlow's own lines are for those who ask for them."""
    if not os.environ.get(VERBOSE_VARIABLE):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def forbid() -> None:
    """From now on, importing TensorFlow or Beam is an error, which TFX falls back from.

    So is IPython, for good.
    """
    for name in (*HEAVY, NOTEBOOK):
        sys.modules[name] = None  # type: ignore[assignment]


def import_names() -> None:
    """Imports what would say on stderr that there is no Beam; its names are there all the same."""
    with redirect_stderr(io.StringIO()):
        importlib.import_module(COMPLAINS)


def allow(name: str) -> None:
    """Takes the prohibition of one of them back, if it stands."""
    if sys.modules.get(name, True) is None:
        del sys.modules[name]


@contextmanager
def forbidden() -> Iterator[None]:
    """What is imported inside can import neither."""
    forbid()
    try:
        yield
    finally:
        for name in HEAVY:
            allow(name)


def unused_late() -> None:
    """Puts what an executor never uses off until it does."""
    for name in UNUSED_BY_SCHEMAS:
        sys.modules.setdefault(name, Late(name))


def prepare(profile: str, backend: str) -> None:
    """Sets what a backend has to find when it is imported, and lets TFX do without TensorFlow and
    Beam, which it falls back from: they would take the process seconds.

    Does nothing in a copy of a process that was prepared: what it has imported stays.
    """
    if COMPLAINS in sys.modules:
        return
    quiet_tensorflow()
    os.environ.update(ENVIRONMENTS[backend] if profile == nodes.DETECTOR else WITHOUT_KERAS)
    forbid()
    import_names()


def import_heavy(name: str) -> None:
    """Imports one of `HEAVY`, which `prepare` has kept out."""
    allow(name)
    importlib.import_module(name)


def import_for_work(profile: str, module: str, needs_beam: bool) -> None:
    """Imports what takes long, once the node has work to do.

    Args:
        profile: of the node.
        module: that has the class which does the work.
        needs_beam: whether that class runs on Beam, and not only a part of its work.

    """
    if profile != nodes.LIGHT:
        import_heavy("tensorflow")
    else:
        unused_late()
    if module.startswith(f"{OURS}."):
        importlib.import_module(module)  # TFX's decorator would import Beam for nothing
    allow("apache_beam")
    if needs_beam:
        from tfx.dsl.components.base import base_beam_executor

        importlib.reload(base_beam_executor)  # it fell back to a class without Beam
