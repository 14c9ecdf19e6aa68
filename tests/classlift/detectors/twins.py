"""What every backend's detector does that has a twin."""

import numpy as np
import tensorflow as tf

from tests.classlift.detectors.rows import rows_of


def require_apart(detector, target):
    """A twin of a detector with a branch answers alike, and what it learns is its own."""
    rng = np.random.default_rng(0)
    images = tf.constant(rng.uniform(0, 255, (2, *detector.frame.size, 3)), tf.float32)
    before = rows_of(detector.detect(images))
    twin = detector.twin()
    assert rows_of(twin.detect(images)) == before
    ours, theirs = detector.variables(), twin.variables()
    assert list(ours) == list(theirs)
    shared = {name for name in ours if ours[name] is theirs[name]}
    assert shared == {name for name in ours if not name.startswith("branch/")}
    for name in set(theirs) - shared:
        theirs[name].assign_add(rng.normal(0, 0.1, theirs[name].shape))
    assert rows_of(twin.detect(images)) != before
    assert rows_of(detector.detect(images)) == before
    twin.drop_branches([target])
    assert detector.branches() == (target,)
    assert rows_of(detector.detect(images)) == before
