"""What every backend's detector does with a verifier."""

import numpy as np
import tensorflow as tf

from classlift.detectors.verifier import Verifier, verified
from tests.classlift.detectors.rows import rows_of


def with_random_line(detector, target, images):
    """Gives the branch of a class a verifier of random weights.

    Returns:
        What the detector answers without it and with it, and the scores of the class that are due.

    """
    before = detector.detect(images)
    found, evidence = detector.evidence(images)[target]
    verifier = Verifier(evidence.shape[-1])
    spread = np.random.default_rng(0).normal(0, 0.1, verifier.line.shape)
    verifier.line.assign(spread)
    says = evidence.numpy() @ spread[:-1] + spread[-1]
    due = verified(found.scores, tf.constant(says, tf.float32)).numpy()[found.valid().numpy()]
    detector.verify({target: verifier})
    return before, detector.detect(images), due


def require_only_the_class_changes(before, after, due, number):
    """All other detections are the same to the bit, those of the class have the scores due."""
    rows = [table_of(answer) for answer in (before, after)]
    others = [own[own[:, 1] != number] for own in rows]
    assert len(others[0])
    assert np.array_equal(*others)
    own = [own[own[:, 1] == number] for own in rows]
    assert len(own[0]) == len(own[1]) == len(due) > 0
    np.testing.assert_allclose(np.sort(own[1][:, 2]), np.sort(due), atol=1e-5)
    assert not np.allclose(np.sort(own[0][:, 2]), np.sort(due), atol=1e-3)
    scores = after["detection_scores"].numpy()
    assert (np.diff(scores, axis=1) <= 0).all()  # by falling score, padding at the end


def table_of(answer):
    """The rows of its detections as an array."""
    return np.array(rows_of(answer))
