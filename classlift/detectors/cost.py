"""What one inference of a detector costs, counted and not timed: the same on every machine."""

import contextlib
import io
from typing import Any

import tensorflow as tf

from classlift.detectors.detector import Detector

_PROFILER: Any = tf.compat.v1.profiler


def operations(detector: Detector) -> int:
    """Counts the floating-point operations of the network for one image.

    What finds boxes among its answers, and what decodes images, is not counted: it takes time, and
    a branch adds little to it, so that the time grows by less than the operations.

    Args:
        detector: with its branches.

    Returns:
        Multiplications and additions, as TensorFlow counts them.

    """
    detect = tf.function(detector.detect, autograph=False)
    traced = detect.get_concrete_function(tf.TensorSpec([1, *detector.frame.size, 3], tf.float32))
    asked = _PROFILER.ProfileOptionBuilder.float_operation()
    options = _PROFILER.ProfileOptionBuilder(asked).with_empty_output().build()
    with contextlib.redirect_stderr(io.StringIO()):  # of operations without a count
        found = _PROFILER.profile(traced.graph, options=options)
    return int(found.total_float_ops)
