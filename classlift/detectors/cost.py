"""What one inference of a detector costs, counted and not timed: the same on every machine."""

import contextlib
import io
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from classlift.detectors.detector import Detector

_PROFILER: Any = tf.compat.v1.profiler


@dataclass(frozen=True)
class Work:
    """Floating-point operations: multiplications and additions, as TensorFlow counts them.

    Attributes:
        total: of the network for one image.
        scopes: of the operations within scopes, by their names without those around them: so of a
            layer, whose name may be several scopes, and of two of the same name together.

    """

    total: int
    scopes: Counter[str]


def work(detector: Detector) -> Work:
    """Counts the operations of the network for one image.

    What finds boxes among its answers, and what decodes images, is not counted: it takes time, and
    a branch adds little to it, so that the time grows by less than the operations.

    Args:
        detector: with its branches.

    Returns:
        Its work.

    """
    detect = tf.function(detector.detect, autograph=False)
    traced = detect.get_concrete_function(tf.TensorSpec([1, *detector.frame.size, 3], tf.float32))
    asked = _PROFILER.ProfileOptionBuilder.float_operation()
    options = _PROFILER.ProfileOptionBuilder(asked).with_empty_output().build()
    with contextlib.redirect_stderr(io.StringIO()):  # of operations without a count
        found = _PROFILER.profile(traced.graph, options=options)
    scopes: Counter[str] = Counter()
    for node in _nodes(found):
        parts = node.name.split("/")
        ends = itertools.combinations(range(len(parts) + 1), 2)
        for scope in {"/".join(parts[first:last]) for first, last in ends}:
            scopes[scope] += node.float_ops
    return Work(int(found.total_float_ops), scopes)


def _nodes(node: Any) -> Iterator[Any]:
    """A node and all below it."""
    yield node
    for child in node.children:
        yield from _nodes(child)


def operations(detector: Detector) -> int:
    """The total of `work`."""
    return work(detector).total
